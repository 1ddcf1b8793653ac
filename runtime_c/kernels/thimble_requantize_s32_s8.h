/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_REQUANTIZE_S32_S8_H
#define THIMBLE_REQUANTIZE_S32_S8_H

#include "thimble_requantize.h"

typedef thimble_requantize_params thimble_requantize_s32_s8_params;

/* int32 to int8: count elements from one scale and zero point to another; the output may lie over the input as far as
 * reads stay ahead. */
void thimble_requantize_s32_s8(const thimble_requantize_s32_s8_params *params, const int32_t *input, int8_t *output);

#endif
