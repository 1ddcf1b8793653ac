/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_REDUCE_SUM_ACCUMULATE_S8_S16_H
#define THIMBLE_REDUCE_SUM_ACCUMULATE_S8_S16_H

#include "thimble_accumulate.h"

typedef thimble_accumulate_sum_params thimble_reduce_sum_accumulate_s8_s16_params;

/* Sum or mean over all pixels of an image, 255 at most.
 * input (input_height, input_width, channels), of which the call takes rows [first, end): the first call begins with
 *     row 0, and the call that takes the last row writes the output
 * sums (channels), kept from call to call: a sum of 255 int8 fits 16 bits
 * output (channels); may lie over the last input row, but not over sums */
void thimble_reduce_sum_accumulate_s8_s16(const thimble_reduce_sum_accumulate_s8_s16_params *params,
                                          const thimble_rows *input, int16_t *sums, int8_t *output, int32_t first,
                                          int32_t end);

#endif
