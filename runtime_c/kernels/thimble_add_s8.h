/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_ADD_S8_H
#define THIMBLE_ADD_S8_H

#include <stdint.h>

#include "thimble_add.h"

typedef thimble_add_params thimble_add_s8_params;

/* input1 + sign * input2, int8 of any scales.
 * output (dims); may be the same memory as an input of its own shape */
void thimble_add_s8(const thimble_add_s8_params *params, const int8_t *input1, const int8_t *input2, int8_t *output);

#endif
