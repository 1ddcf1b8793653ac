/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_DEQUANTIZE_S8_H
#define THIMBLE_DEQUANTIZE_S8_H

#include "thimble_quantize.h"

typedef thimble_quantize_params thimble_dequantize_s8_params;

/* int8 to float: count elements; the output may lie over the input as far as reads
 * stay ahead. */
void thimble_dequantize_s8(const thimble_dequantize_s8_params *params, const int8_t *input, float *output);

#endif
