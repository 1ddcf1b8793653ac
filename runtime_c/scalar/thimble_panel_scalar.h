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
    int32_t output_channels;
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t depth; /* of a window in the panel */
} thimble_panel_scalar_params;

/* An output pixel. */
typedef struct {
    int32_t row; /* of all images */
    int32_t x;
    int32_t y;     /* in its image */
    int32_t image; /* the input row at which its image begins */
} thimble_pixel;

/* The first pixel of an output row. */
static inline thimble_pixel thimble_first_pixel(const thimble_panel_scalar_params *p, int32_t row) {
    const int32_t image = row / p->output_height;
    const thimble_pixel pixel = {row, 0, row - image * p->output_height, image * p->input_height};
    return pixel;
}

/* The pixel behind another. */
static inline thimble_pixel thimble_next_pixel(const thimble_panel_scalar_params *p, thimble_pixel pixel) {
    if (++pixel.x == p->output_width) {
        pixel.x = 0;
        pixel.row++;
        if (++pixel.y == p->output_height) {
            pixel.y = 0;
            pixel.image += p->input_height;
        }
    }
    return pixel;
}

/* The windows of two output pixels, tap by tap: words high * 2^16 + low at every `step`-th place of `panel`. Taps
 * outside of the input hold its zero point. */
void thimble_panel_scalar(const thimble_panel_scalar_params *params, const thimble_rows *input,
                          const thimble_pixel *low, const thimble_pixel *high, uint32_t *panel, int32_t step);

#endif
