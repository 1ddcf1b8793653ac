/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_PRELU_S8_H
#define THIMBLE_PRELU_S8_H

#include <stdint.h>

#include "thimble_prelu.h"

typedef thimble_prelu_params thimble_prelu_s8_params;

/* input1 where it stands for 0 or more, else input1 * input2.
 * output (dims); may be the same memory as an input of its own shape */
void thimble_prelu_s8(const thimble_prelu_s8_params *params, const int8_t *input1, const int8_t *input2,
                      int8_t *output);

#endif
