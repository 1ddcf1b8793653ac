/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_MUL_S8_H
#define THIMBLE_MUL_S8_H

#include <stdint.h>

#include "thimble_mul.h"

typedef thimble_mul_params thimble_mul_s8_params;

/* input1 * input2, int8 of any scales.
 * output (dims); may be the same memory as an input of its own shape */
void thimble_mul_s8(const thimble_mul_s8_params *params, const int8_t *input1, const int8_t *input2, int8_t *output);

#endif
