/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_MAX_POOL_2D_S16_H
#define THIMBLE_MAX_POOL_2D_S16_H

#include "thimble_pool_2d.h"
#include "thimble_rows.h"

typedef thimble_pool_2d_params thimble_max_pool_2d_s16_params;

/* Maximum over the part of each window inside of the input.
 * input (batches, input_height, input_width, channels)
 * output (batches, output_height, output_width, channels); rows may lie over input rows as far as reads stay
 * ahead; the call computes rows [first, end) of batches * output_height */
void thimble_max_pool_2d_s16(const thimble_max_pool_2d_s16_params *params, const thimble_rows *input,
                             const thimble_rows *output, int32_t first, int32_t end);

#endif
