/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_REQUANTIZE_S8_S8_H
#define THIMBLE_REQUANTIZE_S8_S8_H

#include "thimble_requantize.h"

typedef thimble_requantize_params thimble_requantize_s8_s8_params;

/* int8 to int8: count elements from one scale and zero point to another; the two may be one tensor. */
void thimble_requantize_s8_s8(const thimble_requantize_s8_s8_params *params, const int8_t *input, int8_t *output);

#endif
