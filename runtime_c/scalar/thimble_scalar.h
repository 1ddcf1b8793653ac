/* SPDX-License-Identifier: 0BSD */
/* What kernels for cores without SIMD instructions share. */
#ifndef THIMBLE_SCALAR_H
#define THIMBLE_SCALAR_H

#include <stdint.h>

#include "thimble_common.h"

#if defined(__GNUC__) && !defined(__clang__)
/* Scheduled before registers are given out, all loads of an unrolled loop come first and most are spilled. */
#pragma GCC optimize("no-schedule-insns")
#endif

/* Before functions whose loops need all registers. */
#if defined(__GNUC__)
#define THIMBLE_NOINLINE __attribute__((noinline))
#else
#define THIMBLE_NOINLINE
#endif

/* The high word of a product, b >= 0; from four products of 16 bits for cores that keep only the low word of one. */
static inline int32_t thimble_high_product(int32_t a, int32_t b, int by_halves) {
    if (!by_halves) {
        return (int32_t)(((int64_t)a * b) >> 32);
    }
    const int32_t a_high = a >> 16;
    const uint32_t a_low = (uint32_t)a & 0xFFFFu;
    const int32_t b_high = b >> 16;
    const uint32_t b_low = (uint32_t)b & 0xFFFFu;
    const int32_t middle = a_high * (int32_t)b_low + (int32_t)(a_low * b_low >> 16);
    const uint32_t other = a_low * (uint32_t)b_high + ((uint32_t)middle & 0xFFFFu);
    return a_high * b_high + (middle >> 16) + (int32_t)(other >> 16);
}

/* How all outputs of a layer are made, known when it is compiled. */
typedef struct {
    int bits;      /* sums are scaled by 2^bits, 2 or more */
    int ties;      /* halves are rounded away from the zero point, else up */
    int by_halves; /* see thimble_high_product */
} thimble_rounding;

/* How sums of one channel become outputs: y = ((sum * 2^bits * multiplier >> 32) + offset) >> shift. */
typedef struct {
    int32_t multiplier;
    int32_t offset;
    int32_t shift;
} thimble_scale;

/* The scale of a channel, shift >= 1; the offset rounds and adds the zero point. */
static inline thimble_scale thimble_scale_of(int32_t multiplier, int32_t shift, int bits, int32_t zero_point) {
    const uint32_t halves = (uint32_t)(2 * zero_point + 1) << (shift - 1);
    const thimble_scale scale = {multiplier, (int32_t)(halves + ((uint32_t)1 << (bits - 2))), shift};
    return scale;
}

/* One output, limited to [low, high]. */
static inline int8_t thimble_scaled(int32_t sum, thimble_scale scale, thimble_rounding how, int32_t low, int32_t high) {
    const int32_t product = thimble_high_product(sum * ((int32_t)1 << how.bits), scale.multiplier, how.by_halves);
    const int32_t lowered = how.ties && sum < 0 ? (int32_t)1 << (how.bits - 1) : 0;
    return (int8_t)thimble_clamp((product + scale.offset - lowered) >> scale.shift, low, high);
}

#endif
