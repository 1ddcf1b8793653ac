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
    int32_t steps;  /* of 16 values that cover a row */
    int32_t copies; /* whether rows are copied to scratch, since they are no whole number of steps */
} thimble_fully_connected_mve_params;

/* Matrix product, int8, as thimble_fully_connected_s8 with a weights' zero point of 0. All inputs of four outputs are
 * read before these are written: so the output may lie over the input wherever that of thimble_fully_connected_s8 may.
 * input (rows, depth); output (rows, channels)
 * packed   four channels: (steps, 4, 16) int8 weights; biases, multipliers and shifts (3, 4) int32
 * scratch  16 * steps bytes, if rows are copied */
void thimble_fully_connected_mve(const thimble_fully_connected_mve_params *params, const int8_t *input,
                                 const int32_t *packed, int8_t *scratch, int8_t *output);

#endif
