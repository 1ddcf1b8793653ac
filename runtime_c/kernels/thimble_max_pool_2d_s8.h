/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_MAX_POOL_2D_S8_H
#define THIMBLE_MAX_POOL_2D_S8_H

#include <stdint.h>

#include "thimble_pool_2d.h"

typedef thimble_pool_2d_params thimble_max_pool_2d_s8_params;

/* Maximum over the part of each window inside of the input.
 * input (batches, input_height, input_width, channels)
 * output (batches, output_height, output_width, channels); may lie over the input as far as reads stay ahead */
void thimble_max_pool_2d_s8(const thimble_max_pool_2d_s8_params *params, const int8_t *input, int8_t *output);

#endif
