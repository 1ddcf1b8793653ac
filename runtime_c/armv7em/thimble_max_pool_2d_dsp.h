/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_MAX_POOL_2D_DSP_H
#define THIMBLE_MAX_POOL_2D_DSP_H

#include "thimble_pool_2d.h"
#include "thimble_rows.h"

typedef thimble_pool_2d_params thimble_max_pool_2d_dsp_params;

/* As thimble_max_pool_2d_s8: four channels at a time. */
void thimble_max_pool_2d_dsp(const thimble_max_pool_2d_dsp_params *params, const thimble_rows *input,
                             const thimble_rows *output, int32_t first, int32_t end);

#endif
