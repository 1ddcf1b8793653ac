/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_REQUANTIZE_S8_S16_H
#define THIMBLE_REQUANTIZE_S8_S16_H

#include "thimble_requantize.h"

typedef thimble_requantize_params thimble_requantize_s8_s16_params;

/* int8 to int16: count elements from one scale and zero point to another; the output may lie over the input as far as
 * reads stay ahead. */
void thimble_requantize_s8_s16(const thimble_requantize_s8_s16_params *params, const int8_t *input, int16_t *output);

#endif
