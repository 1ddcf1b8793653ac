/* SPDX-License-Identifier: 0BSD */
/* Conversions between float and integers, without libm. Every float operation stands alone in its expression, so no
 * compiler can fuse two of them, and IEEE 754 fixes the bytes on every machine. */
#ifndef THIMBLE_QUANTIZE_H
#define THIMBLE_QUANTIZE_H

#include <stdint.h>

#include "thimble_common.h"

/* real = scale * (q - zero_point) */
typedef struct {
    int32_t count; /* elements */
    float scale;
    int32_t zero_point;
} thimble_quantize_params;

/* x to the nearest integer, halves away from zero; INT32_MIN where it has none in 32 bits, as TFLite Micro on x86. */
static inline int32_t thimble_round_to_int32(float x) {
    if (!(x >= -2147483648.0f && x < 2147483648.0f)) {
        return INT32_MIN;
    }
    const int32_t whole = (int32_t)x;
    const float rest = x - (float)whole; /* exact, and 0 from 2^23 on, where `whole` could not grow any more */
    return whole + (rest >= 0.5f ? 1 : 0) - (rest <= -0.5f ? 1 : 0);
}

/* zero_point + x / scale, rounded, modulo 2^32, then limited to [low, high]. */
static inline int32_t thimble_quantize_value(const thimble_quantize_params *p, float x, int32_t low, int32_t high) {
    return thimble_clamp(thimble_add(thimble_round_to_int32(x / p->scale), p->zero_point), low, high);
}

#endif
