/* SPDX-License-Identifier: 0BSD */
/* Sums of four channels over pixels, two lanes of 16 bits to a word: of 255 int8 at most. */
#ifndef THIMBLE_PIXEL_SUMS_DSP_H
#define THIMBLE_PIXEL_SUMS_DSP_H

#include <stdint.h>

#include "thimble_dsp.h"

/* `even` holds channels 0 and 2, `odd` 1 and 3. */
typedef struct {
    uint32_t even;
    uint32_t odd;
} thimble_pixel_sums;

/* `sums` and one pixel more. */
static inline thimble_pixel_sums thimble_add_pixel(thimble_pixel_sums sums, uint32_t pixel) {
    const thimble_pixel_sums added = {thimble_add_even_bytes(sums.even, pixel), thimble_add_odd_bytes(sums.odd, pixel)};
    return added;
}

/* `sums` and `count` pixels more, `channels` bytes apart. */
static inline thimble_pixel_sums thimble_add_pixels(thimble_pixel_sums sums, const int8_t *from, int32_t count,
                                                    int32_t channels) {
    for (; count >= 4; count -= 4) {
        const uint32_t a = thimble_load_4(from);
        const uint32_t b = thimble_load_4(from + channels);
        const uint32_t c = thimble_load_4(from + 2 * channels);
        const uint32_t d = thimble_load_4(from + 3 * channels);
        sums = thimble_add_pixel(thimble_add_pixel(sums, a), b);
        sums = thimble_add_pixel(thimble_add_pixel(sums, c), d);
        from += 4 * channels;
    }
    for (; count > 0; count--) {
        sums = thimble_add_pixel(sums, thimble_load_4(from));
        from += channels;
    }
    return sums;
}

/* The sum of channel 0, 1, 2 or 3. */
static inline int32_t thimble_sum_of_channel(thimble_pixel_sums sums, int32_t channel) {
    const uint32_t lanes = channel % 2 == 0 ? sums.even : sums.odd;
    return channel < 2 ? thimble_low(lanes) : thimble_high(lanes);
}

#endif
