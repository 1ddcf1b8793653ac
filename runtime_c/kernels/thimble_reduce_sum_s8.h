/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_REDUCE_SUM_S8_H
#define THIMBLE_REDUCE_SUM_S8_H

#include "thimble_reduce.h"

typedef thimble_reduce_sum_params thimble_reduce_sum_s8_params;

/* Sum or mean of int8 elements: input as the loops say, output one element for each kept one; the two must not
 * overlap. */
void thimble_reduce_sum_s8(const thimble_reduce_sum_s8_params *params, const int8_t *input, int8_t *output);

#endif
