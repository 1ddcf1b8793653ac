/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_AVERAGE_POOL_2D_ACCUMULATE_DSP_H
#define THIMBLE_AVERAGE_POOL_2D_ACCUMULATE_DSP_H

#include "thimble_accumulate.h"

typedef thimble_accumulate_params thimble_average_pool_2d_accumulate_dsp_params;

/* As thimble_average_pool_2d_accumulate_s8_s16, four channels at a time. Where these are whole fours, sums are kept in
 * the order of thimble_pixel_sums. */
void thimble_average_pool_2d_accumulate_dsp(const thimble_average_pool_2d_accumulate_dsp_params *params,
                                            const thimble_rows *input, int16_t *sums, int8_t *output, int32_t first,
                                            int32_t end);

#endif
