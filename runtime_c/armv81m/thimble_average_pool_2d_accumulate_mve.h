/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_AVERAGE_POOL_2D_ACCUMULATE_MVE_H
#define THIMBLE_AVERAGE_POOL_2D_ACCUMULATE_MVE_H

#include "thimble_accumulate.h"

typedef thimble_accumulate_params thimble_average_pool_2d_accumulate_mve_params;

/* As thimble_average_pool_2d_accumulate_s8_s16, eight channels at a time. */
void thimble_average_pool_2d_accumulate_mve(const thimble_average_pool_2d_accumulate_mve_params *params,
                                            const thimble_rows *input, int16_t *sums, int8_t *output, int32_t first,
                                            int32_t end);

#endif
