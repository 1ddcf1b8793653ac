/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_REQUANTIZE_S8_S32_H
#define THIMBLE_REQUANTIZE_S8_S32_H

#include "thimble_requantize.h"

typedef thimble_requantize_params thimble_requantize_s8_s32_params;

/* int8 to int32: count elements from one scale and zero point to another; the output may lie over the input as far as
 * reads stay ahead. */
void thimble_requantize_s8_s32(const thimble_requantize_s8_s32_params *params, const int8_t *input, int32_t *output);

#endif
