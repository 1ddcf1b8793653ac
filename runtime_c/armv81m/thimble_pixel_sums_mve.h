/* SPDX-License-Identifier: 0BSD */
/* Sums of eight channels over pixels in lanes of 16 bits: of 255 int8 at most. */
#ifndef THIMBLE_PIXEL_SUMS_MVE_H
#define THIMBLE_PIXEL_SUMS_MVE_H

#include "thimble_mve.h"

/* `sums` and `count` pixels more, `channels` bytes apart, of the channels whose lanes are active. */
static inline int16x8_t thimble_add_pixels_mve(int16x8_t sums, const int8_t *from, int32_t count, int32_t channels,
                                               mve_pred16_t active) {
    for (int32_t i = 0; i < count; i++) {
        sums = vaddq_s16(sums, vldrbq_z_s16(from, active));
        from += channels;
    }
    return sums;
}

#endif
