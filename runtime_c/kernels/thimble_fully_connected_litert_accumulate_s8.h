/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_FULLY_CONNECTED_LITERT_ACCUMULATE_S8_H
#define THIMBLE_FULLY_CONNECTED_LITERT_ACCUMULATE_S8_H

#include <stdint.h>

#include "thimble_rows.h"

/* Sizes in elements; zero points and output limits in [-128, 127]. */
typedef struct {
    int32_t input_rows;
    int32_t row_size; /* the depth of the product is input_rows * row_size */
    int32_t output_channels;
    int32_t weights_zero_point;
    float input_scale;
    float output_scale;
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
} thimble_fully_connected_litert_accumulate_s8_params;

/* Matrix product as LiteRT's reference kernel computes it, scaled in double and rounded once, with one matrix row that
 * comes as rows of a tensor. input (input_rows, row_size), of which the call takes rows [first, end): the first call
 * begins with row 0, and the call that takes the last row writes the output weights (output_channels, input_rows,
 * row_size); bias, weight_scales (output_channels) sums (output_channels), kept from call to call output
 * (output_channels); may lie over the last input row, but not over sums */
void thimble_fully_connected_litert_accumulate_s8(const thimble_fully_connected_litert_accumulate_s8_params *params,
                                                  const thimble_rows *input, const int8_t *weights, const int32_t *bias,
                                                  const float *weight_scales, int32_t *sums, int8_t *output,
                                                  int32_t first, int32_t end);

#endif
