/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_ADD_S16_H
#define THIMBLE_ADD_S16_H

#include <stdint.h>

#include "thimble_broadcast.h"

/* Zero points and output limits in the range of int16; shifts in [-31, 0]. */
typedef struct {
    int32_t dims[THIMBLE_BROADCAST_RANK];
    int32_t strides1[THIMBLE_BROADCAST_RANK];
    int32_t strides2[THIMBLE_BROADCAST_RANK];
    int32_t sign; /* 1 adds, -1 subtracts */
    int32_t zero_point1;
    int32_t multiplier1;
    int32_t shift1;
    int32_t zero_point2;
    int32_t multiplier2;
    int32_t shift2;
    int32_t output_zero_point;
    int32_t output_multiplier;
    int32_t output_shift;
    int32_t output_min;
    int32_t output_max;
} thimble_add_s16_params;

/* input1 + sign * input2, int16 of any scales: both are brought to one scale with 15 more bits first.
 * output (dims); may be the same as an input of its own shape */
void thimble_add_s16(const thimble_add_s16_params *params, const int16_t *input1, const int16_t *input2,
                     int16_t *output);

#endif
