/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_FULLY_CONNECTED_ACCUMULATE_S16_H
#define THIMBLE_FULLY_CONNECTED_ACCUMULATE_S16_H

#include <stdint.h>

#include "thimble_rows.h"

/* Sizes in elements; output limits in [-32768, 32767]. */
typedef struct {
    int32_t input_rows;
    int32_t row_size; /* the depth of the product is input_rows * row_size */
    int32_t output_channels;
    int32_t weights_zero_point;
    int32_t wide_sums; /* 1: 64-bit sums and 16-bit multipliers; 0: sums modulo 2^32 and 32-bit multipliers */
    int32_t output_min;
    int32_t output_max;
} thimble_fully_connected_accumulate_s16_params;

/* Matrix product, int16 activations and int8 weights, with one matrix row that comes as rows of a tensor.
 * input (input_rows, row_size), of which the call takes rows [first, end): the first call begins with row 0, and the
 *     call that takes the last row writes the output
 * weights (output_channels, input_rows, row_size); bias, multipliers, shifts (output_channels)
 * sums (output_channels), kept from call to call
 * output (output_channels); may lie over the last input row, but not over sums */
void thimble_fully_connected_accumulate_s16(const thimble_fully_connected_accumulate_s16_params *params,
                                            const thimble_rows *input, const int8_t *weights, const int64_t *bias,
                                            const int32_t *multipliers, const int8_t *shifts, int64_t *sums,
                                            int16_t *output, int32_t first, int32_t end);

#endif
