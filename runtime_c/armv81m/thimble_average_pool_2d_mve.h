/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_AVERAGE_POOL_2D_MVE_H
#define THIMBLE_AVERAGE_POOL_2D_MVE_H

#include "thimble_pool_2d.h"
#include "thimble_rows.h"

typedef thimble_pool_2d_params thimble_average_pool_2d_mve_params;

/* As thimble_average_pool_2d_s8, for windows of 255 pixels at most: eight channels at a time. */
void thimble_average_pool_2d_mve(const thimble_average_pool_2d_mve_params *params, const thimble_rows *input,
                                 const thimble_rows *output, int32_t first, int32_t end);

#endif
