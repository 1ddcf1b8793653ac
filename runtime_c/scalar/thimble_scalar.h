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

/* The high word of a product. */
static inline int32_t thimble_high_product(int32_t a, int32_t b) {
    return (int32_t)(((int64_t)a * b) >> 32);
}

/* The same from four products of 16 bits, b >= 0: for cores that keep only the low word of a product. */
static inline int32_t thimble_high_product_by_halves(int32_t a, int32_t b) {
    const int32_t a_high = a >> 16;
    const uint32_t a_low = (uint32_t)a & 0xFFFFu;
    const int32_t b_high = b >> 16;
    const uint32_t b_low = (uint32_t)b & 0xFFFFu;
    const int32_t middle = a_high * (int32_t)b_low + (int32_t)(a_low * b_low >> 16);
    const uint32_t other = a_low * (uint32_t)b_high + ((uint32_t)middle & 0xFFFFu);
    return a_high * b_high + (middle >> 16) + (int32_t)(other >> 16);
}

#endif
