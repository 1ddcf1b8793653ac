/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_ADD_S16_H
#define THIMBLE_ADD_S16_H

#include <stdint.h>

#include "thimble_add.h"

typedef thimble_add_params thimble_add_s16_params;

/* input1 + sign * input2, int16 of any scales.
 * output (dims); may be the same memory as an input of its own shape */
void thimble_add_s16(const thimble_add_s16_params *params, const int16_t *input1, const int16_t *input2,
                     int16_t *output);

#endif
