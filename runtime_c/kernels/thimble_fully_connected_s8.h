/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_FULLY_CONNECTED_S8_H
#define THIMBLE_FULLY_CONNECTED_S8_H

#include <stdint.h>

/* Sizes in elements; zero points and output limits in [-128, 127]. */
typedef struct {
    int32_t rows;
    int32_t depth;
    int32_t output_channels;
    int32_t weights_zero_point;
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
} thimble_fully_connected_s8_params;

/* Matrix product, int8 activations and weights, int32 accumulators, one multiplier and shift for each output channel.
 * input (rows, depth); weights (output_channels, depth); bias, multipliers, shifts (output_channels)
 * output (rows, output_channels); may lie over the input as far as reads stay ahead */
void thimble_fully_connected_s8(const thimble_fully_connected_s8_params *params, const int8_t *input,
                                const int8_t *weights, const int32_t *bias, const int32_t *multipliers,
                                const int8_t *shifts, int8_t *output);

#endif
