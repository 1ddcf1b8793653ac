/* SPDX-License-Identifier: 0BSD */
/* Fixed-point arithmetic that every kernel shares: gemmlowp's rounding, as TFLite Micro uses it. */
#ifndef THIMBLE_COMMON_H
#define THIMBLE_COMMON_H

#include <stdint.h>

/* x limited to [low, high]. */
static inline int32_t thimble_clamp(int32_t x, int32_t low, int32_t high) {
    return x < low ? low : (x > high ? high : x);
}

/* sum / count, count > 0, halves away from zero; |sum| + count / 2 within int32. */
static inline int32_t thimble_rounded_mean(int32_t sum, int32_t count) {
    return (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
}

/* a + b modulo 2^32, as the reference kernels add where absurd scales make them overflow. */
static inline int32_t thimble_add(int32_t a, int32_t b) {
    return (int32_t)((uint32_t)a + (uint32_t)b);
}

/* High 32 bits of 2 * a * b, rounded to nearest with halves away from zero, saturated. */
static inline int32_t thimble_doubling_high_mul(int32_t a, int32_t b) {
    if (a == INT32_MIN && b == INT32_MIN) {
        return INT32_MAX;
    }
    const int64_t product = (int64_t)a * (int64_t)b;
    const int64_t nudge = product >= 0 ? (int64_t)1 << 30 : 1 - ((int64_t)1 << 30);
    return (int32_t)((product + nudge) / ((int64_t)1 << 31));
}

/* x / 2^exponent, exponent in [0, 31], rounded to nearest with halves away from zero. */
static inline int32_t thimble_rounding_shift_right(int32_t x, int exponent) {
    const int32_t mask = (int32_t)(((int64_t)1 << exponent) - 1);
    const int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
    return (x >> exponent) + ((x & mask) > threshold ? 1 : 0);
}

/* x * 2^shift modulo 2^32, shift in [0, 31]. */
static inline int32_t thimble_shift_left(int32_t x, int shift) {
    return (int32_t)((uint32_t)x << shift);
}

/* x * multiplier * 2^(shift - 31), rounded twice; shift in [-31, 30], multiplier 0 or in [2^30, 2^31). */
static inline int32_t thimble_requantize(int32_t x, int32_t multiplier, int shift) {
    const int left = shift > 0 ? shift : 0;
    const int right = shift > 0 ? 0 : -shift;
    return thimble_rounding_shift_right(thimble_doubling_high_mul(thimble_shift_left(x, left), multiplier), right);
}

/* For 48-bit sums of int16 activations, shift in [-31, 14]: the multiplier is cut to 16 bits, one rounding. */
static inline int32_t thimble_requantize_wide(int64_t x, int32_t multiplier, int shift) {
    const int32_t reduced = multiplier < 0x7FFF0000 ? (multiplier + (1 << 15)) >> 16 : 0x7FFF;
    const int total = 15 - shift;
    return (int32_t)((x * (int64_t)reduced + ((int64_t)1 << (total - 1))) >> total);
}

#endif
