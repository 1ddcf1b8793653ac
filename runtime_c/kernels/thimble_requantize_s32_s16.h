/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_REQUANTIZE_S32_S16_H
#define THIMBLE_REQUANTIZE_S32_S16_H

#include "thimble_requantize.h"

typedef thimble_requantize_params thimble_requantize_s32_s16_params;

/* int32 to int16: count elements from one scale and zero point to another; the two must not overlap. */
void thimble_requantize_s32_s16(const thimble_requantize_s32_s16_params *params, const int32_t *input, int16_t *output);

#endif
