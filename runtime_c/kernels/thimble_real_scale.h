/* SPDX-License-Identifier: 0BSD */
/* Scaling of integer sums as LiteRT's reference FULLY_CONNECTED does it, in double. Every operation that rounds stands
 * alone in its expression, so no compiler can fuse two of them, and IEEE 754 fixes the bytes on every machine. */
#ifndef THIMBLE_REAL_SCALE_H
#define THIMBLE_REAL_SCALE_H

#include <stdint.h>

/* input * weights / output of three float32 scales; the product of two is exact in double. */
static inline double thimble_real_scale(float input, float weights, float output) {
    const double product = (double)input * (double)weights;
    return product / (double)output;
}

/* sum * scale to the nearest integer, halves away from zero; INT32_MIN where 32 bits do not hold it, as on x86. */
static inline int32_t thimble_scale_once(int64_t sum, double scale) {
    const double real = (double)sum * scale;
    if (!(real > -2147483648.5 && real < 2147483647.5)) {
        return INT32_MIN;
    }
    const int64_t halves = (int64_t)(real + real); /* the sum is exact, the conversion cuts towards zero */
    return (int32_t)((halves + (halves < 0 ? -1 : 1)) / 2);
}

#endif
