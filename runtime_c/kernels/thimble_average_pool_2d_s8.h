/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_AVERAGE_POOL_2D_S8_H
#define THIMBLE_AVERAGE_POOL_2D_S8_H

#include <stdint.h>

#include "thimble_pool_2d.h"

typedef thimble_pool_2d_params thimble_average_pool_2d_s8_params;

/* Mean over the part of each window inside of the input, rounded to nearest with halves away from zero.
 * input (batches, input_height, input_width, channels)
 * output (batches, output_height, output_width, channels); may lie over the input as far as reads stay ahead */
void thimble_average_pool_2d_s8(const thimble_average_pool_2d_s8_params *params, const int8_t *input, int8_t *output);

#endif
