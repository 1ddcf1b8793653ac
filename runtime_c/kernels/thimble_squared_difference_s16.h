/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_SQUARED_DIFFERENCE_S16_H
#define THIMBLE_SQUARED_DIFFERENCE_S16_H

#include <stdint.h>

#include "thimble_squared_difference.h"

typedef thimble_squared_difference_params thimble_squared_difference_s16_params;

/* (input1 - input2)^2, int16 of any scales and zero point 0.
 * output (dims); may be the same memory as an input of its own shape */
void thimble_squared_difference_s16(const thimble_squared_difference_s16_params *params, const int16_t *input1,
                                    const int16_t *input2, int16_t *output);

#endif
