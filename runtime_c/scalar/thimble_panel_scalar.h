/* SPDX-License-Identifier: 0BSD */
/* Windows of a few pixels side by side, for convolutions on cores without SIMD instructions. */
#ifndef THIMBLE_PANEL_SCALAR_H
#define THIMBLE_PANEL_SCALAR_H

#include <stdint.h>

#include "thimble_rows.h"

/* Sizes in elements; zero points and output limits in [-128, 127]. */
typedef struct {
    int32_t input_height;
    int32_t input_width;
    int32_t input_channels;
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t stride_height;
    int32_t stride_width;
    int32_t dilation_height;
    int32_t dilation_width;
    int32_t pad_top;
    int32_t pad_left;
    int32_t output_height;
    int32_t output_width;
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
} thimble_panel_scalar_params;

/* The windows of output pixels `pixel` and `pixel` + 1 (the same again where `second` is 0), counted over all rows, tap
 * by tap: words x1 * 2^16 + x0 at every `step`-th place of `panel`. Taps outside of the input hold its zero point. */
void thimble_panel_scalar(const thimble_panel_scalar_params *params, const thimble_rows *input, int32_t pixel,
                          int32_t second, uint32_t *panel, int32_t step);

#endif
