/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_FULLY_CONNECTED_S16_H
#define THIMBLE_FULLY_CONNECTED_S16_H

#include <stdint.h>

/* Sizes in elements; output limits in [-32768, 32767]. */
typedef struct {
    int32_t rows;
    int32_t depth;
    int32_t output_channels;
    int32_t weights_zero_point;
    int32_t wide_sums; /* 1: 64-bit sums and 16-bit multipliers; 0: sums modulo 2^32 and 32-bit multipliers */
    int32_t output_min;
    int32_t output_max;
} thimble_fully_connected_s16_params;

/* Matrix product, int16 activations, int8 weights, one multiplier and shift for each output channel.
 * input (rows, depth); weights (output_channels, depth); bias, multipliers, shifts (output_channels)
 * output (rows, output_channels); may lie over the input as far as reads stay ahead */
void thimble_fully_connected_s16(const thimble_fully_connected_s16_params *params, const int16_t *input,
                                 const int8_t *weights, const int64_t *bias, const int32_t *multipliers,
                                 const int8_t *shifts, int16_t *output);

#endif
