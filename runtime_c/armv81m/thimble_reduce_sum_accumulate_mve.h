/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_REDUCE_SUM_ACCUMULATE_MVE_H
#define THIMBLE_REDUCE_SUM_ACCUMULATE_MVE_H

#include "thimble_accumulate.h"

typedef thimble_accumulate_sum_params thimble_reduce_sum_accumulate_mve_params;

/* As thimble_reduce_sum_accumulate_s8_s16, eight channels at a time. */
void thimble_reduce_sum_accumulate_mve(const thimble_reduce_sum_accumulate_mve_params *params,
                                       const thimble_rows *input, int16_t *sums, int8_t *output, int32_t first,
                                       int32_t end);

#endif
