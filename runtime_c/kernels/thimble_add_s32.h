/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_ADD_S32_H
#define THIMBLE_ADD_S32_H

#include <stdint.h>

#include "thimble_broadcast.h"

typedef struct {
    int32_t dims[THIMBLE_BROADCAST_RANK];
    int32_t strides1[THIMBLE_BROADCAST_RANK];
    int32_t strides2[THIMBLE_BROADCAST_RANK];
    int32_t sign; /* 1 adds, -1 subtracts */
    int32_t output_min;
    int32_t output_max;
} thimble_add_s32_params;

/* input1 + sign * input2 modulo 2^32, plain integers.
 * output (dims); may be the same memory as an input of its own shape */
void thimble_add_s32(const thimble_add_s32_params *params, const int32_t *input1, const int32_t *input2,
                     int32_t *output);

#endif
