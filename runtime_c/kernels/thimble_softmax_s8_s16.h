/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_SOFTMAX_S8_S16_H
#define THIMBLE_SOFTMAX_S8_S16_H

#include <stdint.h>

typedef struct {
    int32_t rows;
    int32_t depth;      /* in [1, 4095] */
    int32_t table_size; /* steps below the maximum whose exponential is not zero, in [1, 256] */
} thimble_softmax_s8_s16_params;

/* Softmax over each row of int8; the int16 output has scale 1/65536 and the lowest value as its zero point.
 * input, output (rows, depth)
 * exponentials (table_size): exp of 0, 1, ... steps below the maximum, without integer bits */
void thimble_softmax_s8_s16(const thimble_softmax_s8_s16_params *params, const int8_t *input,
                            const int32_t *exponentials, int16_t *output);

#endif
