/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_QUANTIZE_S8_H
#define THIMBLE_QUANTIZE_S8_H

#include "thimble_quantize.h"

typedef thimble_quantize_params thimble_quantize_s8_params;

/* float to int8: count elements; the output may lie over the input as far as reads
 * stay ahead. */
void thimble_quantize_s8(const thimble_quantize_s8_params *params, const float *input, int8_t *output);

#endif
