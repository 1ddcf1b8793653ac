/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_QUANTIZE_S16_H
#define THIMBLE_QUANTIZE_S16_H

#include "thimble_quantize.h"

typedef thimble_quantize_params thimble_quantize_s16_params;

/* float to int16: count elements; the output may lie over the input as far as reads
 * stay ahead. */
void thimble_quantize_s16(const thimble_quantize_s16_params *params, const float *input, int16_t *output);

#endif
