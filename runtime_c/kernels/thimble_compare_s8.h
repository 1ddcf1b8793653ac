/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_COMPARE_S8_H
#define THIMBLE_COMPARE_S8_H

#include <stdint.h>

#include "thimble_broadcast.h"

typedef struct {
    int32_t dims[THIMBLE_BROADCAST_RANK];
    int32_t strides1[THIMBLE_BROADCAST_RANK];
    int32_t strides2[THIMBLE_BROADCAST_RANK];
    int32_t less;    /* 1 where input1 < input2 gives true, else 0 */
    int32_t equal;   /* the same for input1 == input2 */
    int32_t greater; /* the same for input1 > input2 */
    int32_t zero_point1;
    int32_t multiplier1;
    int32_t shift1; /* in [-31, 0], as shift2 */
    int32_t zero_point2;
    int32_t multiplier2;
    int32_t shift2;
} thimble_compare_s8_params;

/* A comparison of int8 of any scales below 1: multipliers and shifts bring both to the scale 1.
 * output (dims), 1 or 0; may be the same memory as an input of its own shape */
void thimble_compare_s8(const thimble_compare_s8_params *params, const int8_t *input1, const int8_t *input2,
                        uint8_t *output);

#endif
