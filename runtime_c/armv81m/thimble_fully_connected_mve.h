/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_FULLY_CONNECTED_MVE_H
#define THIMBLE_FULLY_CONNECTED_MVE_H

#include <stdint.h>

/* Sizes in elements. */
typedef struct {
    int32_t rows;
    int32_t depth;
    int32_t channels;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
} thimble_fully_connected_mve_params;

/* Matrix product, int8, as thimble_fully_connected_s8 with a weights' zero point of 0. All inputs of four outputs are
 * read before these are written: so the output may lie over the input wherever that of thimble_fully_connected_s8 may.
 * input (rows, depth); output (rows, channels)
 * packed   four channels: (ceil(depth / 16), 4, 16) int8 weights; biases and multipliers (2, 4) int32;
 *          shifts (4) int8 */
void thimble_fully_connected_mve(const thimble_fully_connected_mve_params *params, const int8_t *input,
                                 const int32_t *packed, int8_t *output);

#endif
