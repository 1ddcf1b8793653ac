/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_REDUCE_SUM_ACCUMULATE_DSP_H
#define THIMBLE_REDUCE_SUM_ACCUMULATE_DSP_H

#include "thimble_accumulate.h"

typedef thimble_accumulate_sum_params thimble_reduce_sum_accumulate_dsp_params;

/* As thimble_reduce_sum_accumulate_s8_s16, four channels at a time. Where these are whole fours, sums are kept in the
 * order of thimble_pixel_sums. */
void thimble_reduce_sum_accumulate_dsp(const thimble_reduce_sum_accumulate_dsp_params *params,
                                       const thimble_rows *input, int16_t *sums, int8_t *output, int32_t first,
                                       int32_t end);

#endif
