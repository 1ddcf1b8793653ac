/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_MUL_S16_H
#define THIMBLE_MUL_S16_H

#include <stdint.h>

#include "thimble_mul.h"

typedef thimble_mul_params thimble_mul_s16_params;

/* input1 * input2, int16 of any scales and zero point 0.
 * output (dims); may be the same memory as an input of its own shape */
void thimble_mul_s16(const thimble_mul_s16_params *params, const int16_t *input1, const int16_t *input2,
                     int16_t *output);

#endif
