/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_REDUCE_SUM_S16_H
#define THIMBLE_REDUCE_SUM_S16_H

#include "thimble_reduce.h"

typedef thimble_reduce_sum_params thimble_reduce_sum_s16_params;

/* Sum or mean of int16 elements: input as the loops say, output one element for each kept one; the two must not
 * overlap. */
void thimble_reduce_sum_s16(const thimble_reduce_sum_s16_params *params, const int16_t *input, int16_t *output);

#endif
