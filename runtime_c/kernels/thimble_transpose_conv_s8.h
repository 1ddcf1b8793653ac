/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_TRANSPOSE_CONV_S8_H
#define THIMBLE_TRANSPOSE_CONV_S8_H

#include <stdint.h>

#include "thimble_rows.h"
#include "thimble_window.h"

/* Sizes in elements; zero points and output limits in [-128, 127]. */
typedef struct {
    int32_t input_channels;
    int32_t output_channels;
    thimble_window window;
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
} thimble_transpose_conv_s8_params;

/* Transposed convolution, int8 activations and weights, int32 accumulators, one multiplier and shift for each output
 * channel. Each output element gathers the input elements whose windows cover it, so no scratch memory is needed.
 * input (batches, input_height, input_width, input_channels)
 * weights (output_channels, kernel_height, kernel_width, input_channels), in [-127, 127]
 * bias, multipliers, shifts (output_channels)
 * output (batches, output_height, output_width, output_channels); its rows must not overlap the input's; the call
 * computes rows [first, end) of batches * output_height */
void thimble_transpose_conv_s8(const thimble_transpose_conv_s8_params *params, const thimble_rows *input,
                               const int8_t *weights, const int32_t *bias, const int32_t *multipliers,
                               const int8_t *shifts, const thimble_rows *output, int32_t first, int32_t end);

#endif
