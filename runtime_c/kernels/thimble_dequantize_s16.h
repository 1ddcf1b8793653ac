/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_DEQUANTIZE_S16_H
#define THIMBLE_DEQUANTIZE_S16_H

#include "thimble_quantize.h"

typedef thimble_quantize_params thimble_dequantize_s16_params;

/* int16 to float: count elements; the output may lie over the input as far as reads
 * stay ahead. */
void thimble_dequantize_s16(const thimble_dequantize_s16_params *params, const int16_t *input, float *output);

#endif
