/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_REQUANTIZE_S16_S16_H
#define THIMBLE_REQUANTIZE_S16_S16_H

#include "thimble_requantize.h"

typedef thimble_requantize_params thimble_requantize_s16_s16_params;

/* int16 to int16: count elements from one scale and zero point to another; the two may be one tensor. */
void thimble_requantize_s16_s16(const thimble_requantize_s16_s16_params *params, const int16_t *input, int16_t *output);

#endif
