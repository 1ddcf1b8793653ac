/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_TRANSPOSE_CONV_S16_H
#define THIMBLE_TRANSPOSE_CONV_S16_H

#include <stdint.h>

#include "thimble_rows.h"
#include "thimble_window.h"

/* Sizes in elements; output limits in [-32768, 32767]. */
typedef struct {
    int32_t input_channels;
    int32_t output_channels;
    thimble_window window;
    int32_t output_min;
    int32_t output_max;
} thimble_transpose_conv_s16_params;

/* Transposed convolution, int16 activations, int8 weights, one multiplier and shift for each output channel.
 * Each output element gathers the input elements whose windows cover it, so no scratch memory is needed.
 * input (batches, input_height, input_width, input_channels)
 * weights (output_channels, kernel_height, kernel_width, input_channels), in [-127, 127]
 * bias, multipliers, shifts (output_channels)
 * output (batches, output_height, output_width, output_channels); its rows must not overlap the input's; the call
 * computes rows [first, end) of batches * output_height */
void thimble_transpose_conv_s16(const thimble_transpose_conv_s16_params *params, const thimble_rows *input,
                                const int8_t *weights, const int64_t *bias, const int32_t *multipliers,
                                const int8_t *shifts, const thimble_rows *output, int32_t first, int32_t end);

#endif
