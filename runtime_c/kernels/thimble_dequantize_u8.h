/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_DEQUANTIZE_U8_H
#define THIMBLE_DEQUANTIZE_U8_H

#include "thimble_quantize.h"

typedef thimble_quantize_params thimble_dequantize_u8_params;

/* uint8 to float: count elements; the output may lie over the input as far as reads
 * stay ahead. */
void thimble_dequantize_u8(const thimble_dequantize_u8_params *params, const uint8_t *input, float *output);

#endif
