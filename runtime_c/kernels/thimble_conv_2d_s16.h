/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_CONV_2D_S16_H
#define THIMBLE_CONV_2D_S16_H

#include <stdint.h>

#include "thimble_rows.h"
#include "thimble_window.h"

/* Sizes in elements; output limits in [-32768, 32767]. */
typedef struct {
    int32_t input_channels;
    int32_t output_channels;
    int32_t group_channels; /* input channels that one output channel sees; divides input_channels */
    thimble_window window;
    int32_t dilation_height;
    int32_t dilation_width;
    int32_t wide_sums; /* 1: 64-bit sums and 16-bit multipliers; 0: sums modulo 2^32 and 32-bit multipliers */
    int32_t output_min;
    int32_t output_max;
} thimble_conv_2d_s16_params;

/* Convolution, int16 activations, int8 weights, one multiplier and shift for each output channel.
 * input (batches, input_height, input_width, input_channels)
 * weights (output_channels, kernel_height, kernel_width, group_channels), in [-127, 127]
 * bias, multipliers, shifts (output_channels)
 * output (batches, output_height, output_width, output_channels); rows may lie over input rows as far as reads stay
 * ahead; the call computes rows [first, end) of batches * output_height */
void thimble_conv_2d_s16(const thimble_conv_2d_s16_params *params, const thimble_rows *input, const int8_t *weights,
                         const int64_t *bias, const int32_t *multipliers, const int8_t *shifts,
                         const thimble_rows *output, int32_t first, int32_t end);

#endif
