/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_CONV_2D_DEPTHWISE_S8_H
#define THIMBLE_CONV_2D_DEPTHWISE_S8_H

#include <stdint.h>

#include "thimble_conv_2d_s8.h"
#include "thimble_depthwise_conv_2d_s8.h"

typedef struct {
    thimble_conv_2d_s8_params convolution;
    thimble_depthwise_conv_2d_s8_params depthwise;
    int32_t between_rows; /* of what the first gives to the second, in all images */
} thimble_conv_2d_depthwise_s8_params;

/* thimble_conv_2d_s8 and thimble_depthwise_conv_2d_s8 on what it gives, which lies in scratch.
 * between (batches, height, width, channels) scratch; weights, biases, multipliers and shifts as those two have them;
 * output rows [first, end) are made, of all rows of the convolution, and keep off the input. */
void thimble_conv_2d_depthwise_s8(const thimble_conv_2d_depthwise_s8_params *params, const thimble_rows *input,
                                  const int8_t *weights, const int32_t *bias, const int32_t *multipliers,
                                  const int8_t *shifts, const int8_t *depthwise_weights, const int32_t *depthwise_bias,
                                  const int32_t *depthwise_multipliers, const int8_t *depthwise_shifts,
                                  uint8_t *between, const thimble_rows *output, int32_t first, int32_t end);

#endif
