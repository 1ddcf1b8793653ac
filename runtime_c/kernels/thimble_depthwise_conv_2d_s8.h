/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_DEPTHWISE_CONV_2D_S8_H
#define THIMBLE_DEPTHWISE_CONV_2D_S8_H

#include <stdint.h>

#include "thimble_rows.h"
#include "thimble_window.h"

/* Sizes in elements; zero points and output limits in [-128, 127]. */
typedef struct {
    int32_t input_channels;
    int32_t output_channels;
    int32_t multiplier; /* output channels of each input channel */
    thimble_window window;
    int32_t dilation_height;
    int32_t dilation_width;
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
} thimble_depthwise_conv_2d_s8_params;

/* Depthwise convolution, int8 activations and weights, int32 accumulators, one multiplier and shift for each output
 * channel; output channel c * multiplier + m sees input channel c.
 * input (batches, input_height, input_width, input_channels)
 * weights (kernel_height, kernel_width, output_channels), in [-127, 127]
 * bias, multipliers, shifts (output_channels)
 * output (batches, output_height, output_width, output_channels); rows may lie over input rows as far as reads stay
 * ahead; the call computes rows [first, end) of batches * output_height */
void thimble_depthwise_conv_2d_s8(const thimble_depthwise_conv_2d_s8_params *params, const thimble_rows *input,
                                  const int8_t *weights, const int32_t *bias, const int32_t *multipliers,
                                  const int8_t *shifts, const thimble_rows *output, int32_t first, int32_t end);

#endif
