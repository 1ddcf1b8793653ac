/* SPDX-License-Identifier: 0BSD */
/* What the softmax kernels with an int8 input share. */
#ifndef THIMBLE_SOFTMAX_H
#define THIMBLE_SOFTMAX_H

#include <stdint.h>

#include "thimble_common.h"

/* Integer bits of the sum of exponentials. */
#define THIMBLE_SOFTMAX_SUM_BITS 12

/* 1 / (1 + a), both without integer bits, a >= 0: three Newton-Raphson steps, as gemmlowp does. */
static inline int32_t thimble_one_over_one_plus(int32_t a) {
    const int32_t half = (int32_t)(((int64_t)a + INT32_MAX + 1) / 2);
    /* 48/17 - 32/17 * half with 2 integer bits is the best linear start. */
    int32_t x = 1515870810 + thimble_doubling_high_mul(half, -1010580540);
    for (int step = 0; step < 3; step++) {
        const int32_t error = (1 << 29) - thimble_doubling_high_mul(half, x);
        x += thimble_doubling_high_mul(x, error) * 4;
    }
    return x >= (1 << 30) ? INT32_MAX : x * 2;
}

/* The reciprocal of one row's sum of exponentials: 1 / sum = value * 2^-(31 + bits_over_unit). */
typedef struct {
    int32_t value;
    int bits_over_unit;
} thimble_softmax_scale;

/* exp of `x` below the row's maximum. */
static inline int32_t thimble_softmax_exp(const int32_t *exponentials, int32_t table_size, int32_t below) {
    return below < table_size ? exponentials[below] : 0;
}

/* The largest of `depth` values. */
static inline int32_t thimble_softmax_max(const int8_t *row, int32_t depth) {
    int32_t max = row[0];
    for (int32_t i = 1; i < depth; i++) {
        max = row[i] > max ? row[i] : max;
    }
    return max;
}

/* Reciprocal of the sum of one row's exponentials; the sum is never zero, since exp(0) is in it. */
static inline thimble_softmax_scale thimble_softmax_row(const int8_t *row, int32_t depth, int32_t max,
                                                        const int32_t *exponentials, int32_t table_size) {
    uint32_t sum = 0;
    for (int32_t i = 0; i < depth; i++) {
        const int32_t value = thimble_softmax_exp(exponentials, table_size, max - row[i]);
        sum += (uint32_t)thimble_rounding_shift_right(value, THIMBLE_SOFTMAX_SUM_BITS);
    }
    int leading_zeros = 0;
    while ((sum & 0x80000000U) == 0) {
        sum <<= 1;
        leading_zeros++;
    }
    const thimble_softmax_scale scale = {thimble_one_over_one_plus((int32_t)(sum & 0x7FFFFFFFU)),
                                         THIMBLE_SOFTMAX_SUM_BITS - leading_zeros};
    return scale;
}

#endif
