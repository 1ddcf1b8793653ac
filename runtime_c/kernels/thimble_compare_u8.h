/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_COMPARE_U8_H
#define THIMBLE_COMPARE_U8_H

#include <stdint.h>

#include "thimble_broadcast.h"

typedef struct {
    int32_t dims[THIMBLE_BROADCAST_RANK];
    int32_t strides1[THIMBLE_BROADCAST_RANK];
    int32_t strides2[THIMBLE_BROADCAST_RANK];
    int32_t less;    /* 1 where input1 < input2 gives true, else 0 */
    int32_t equal;   /* the same for input1 == input2 */
    int32_t greater; /* the same for input1 > input2 */
} thimble_compare_u8_params;

/* A comparison of bool, each 1 or 0.
 * output (dims), 1 or 0; may be the same memory as an input of its own shape */
void thimble_compare_u8(const thimble_compare_u8_params *params, const uint8_t *input1, const uint8_t *input2,
                        uint8_t *output);

#endif
