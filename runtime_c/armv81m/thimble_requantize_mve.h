/* SPDX-License-Identifier: 0BSD */
/* Requantization of four sums at a time with the bytes of thimble_requantize (gemmlowp's two roundings). */
#ifndef THIMBLE_REQUANTIZE_MVE_H
#define THIMBLE_REQUANTIZE_MVE_H

#include "thimble_mve.h"

/* What is known of all channels of a layer when it is compiled; code for the rest is not made. */
typedef struct {
    int shifts_left; /* some channel's shift is 0 or more */
    int rounds_ties; /* results below the zero point are seen, so that their halves must be rounded away from it */
    int clamps;      /* output limits are narrower than int8 */
} thimble_form_mve;

/* The output's zero point and its limits. */
typedef struct {
    int16_t zero_point;
    int16x8_t low;
    int16x8_t high;
} thimble_limits_mve;

static inline thimble_limits_mve thimble_limits_of_mve(int32_t zero_point, int32_t low, int32_t high) {
    const thimble_limits_mve limits = {(int16_t)zero_point, vdupq_n_s16((int16_t)low), vdupq_n_s16((int16_t)high)};
    return limits;
}

/* sums * multipliers * 2^(shifts - 31), rounded twice.
 * VQRDMULH is gemmlowp's doubling high product: floor(product / 2^31 + 1/2). VRSHL rounds halves up; one less below
 * zero rounds them away from it. */
static inline int32x4_t thimble_scale_mve(thimble_form_mve form, int32x4_t sums, int32x4_t multipliers,
                                          int32x4_t shifts) {
    int32x4_t right = shifts;
    if (form.shifts_left) {
        const int32x4_t none = vdupq_n_s32(0);
        sums = vshlq_s32(sums, vmaxq_s32(shifts, none));
        right = vminq_s32(shifts, none);
    }
    int32x4_t product = vqrdmulhq_s32(sums, multipliers);
    if (form.rounds_ties) {
        const int32x4_t sign = form.shifts_left ? vandq_s32(product, right) : product;
        product = vqaddq_s32(product, vshrq_n_s32(sign, 31));
    }
    return vrshlq_s32(product, right);
}

/* The same with one multiplier and shift for all sums. */
static inline int32x4_t thimble_scale_channel_mve(thimble_form_mve form, int32x4_t sums, int32_t multiplier,
                                                  int32_t shift) {
    int32_t right = shift;
    if (form.shifts_left) {
        right = shift > 0 ? 0 : shift;
        sums = vshlq_r_s32(sums, shift - right);
    }
    int32x4_t product = vqrdmulhq_n_s32(sums, multiplier);
    if (form.rounds_ties && (!form.shifts_left || right < 0)) {
        product = vqaddq_s32(product, vshrq_n_s32(product, 31));
    }
    return vrshlq_n_s32(product, right);
}

/* Two vectors of results as one of int16 with the zero point: even lanes are those of `first`. */
static inline int16x8_t thimble_join_mve(thimble_limits_mve limits, int32x4_t first, int32x4_t second) {
    int16x8_t both = vreinterpretq_s16_s32(first);
    both = vqmovnbq_s32(both, first);
    both = vqmovntq_s32(both, second);
    return vqaddq_n_s16(both, limits.zero_point);
}

/* int16 results within the output's limits, in the low bytes of their lanes. */
static inline int16x8_t thimble_limit_mve(thimble_form_mve form, thimble_limits_mve limits, int16x8_t values) {
    if (form.clamps) {
        return vminq_s16(vmaxq_s16(values, limits.low), limits.high);
    }
    return vreinterpretq_s16_s8(vqmovnbq_s16(vreinterpretq_s8_s16(values), values));
}

#endif
