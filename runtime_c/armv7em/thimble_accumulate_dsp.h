/* SPDX-License-Identifier: 0BSD */
/* What the kernels share that take an input row by row, four channels at a time. */
#ifndef THIMBLE_ACCUMULATE_DSP_H
#define THIMBLE_ACCUMULATE_DSP_H

#include "thimble_accumulate.h"
#include "thimble_pixel_sums_dsp.h"

/* Sums of four channels lie in the place of these. */
static inline thimble_pixel_sums thimble_load_sums(const int16_t *sums) {
    const thimble_pixel_sums loaded = {thimble_load_4((const int8_t *)sums),
                                       thimble_load_4((const int8_t *)(sums + 2))};
    return loaded;
}

static inline void thimble_store_sums(int16_t *sums, thimble_pixel_sums values) {
    thimble_store_4((int8_t *)sums, values.even);
    thimble_store_4((int8_t *)(sums + 2), values.odd);
}

/* Sums and a row of `width` pixels more; without sums so far where it is the `first` row. */
static inline void thimble_accumulate_row(int16_t *sums, const int8_t *row, int32_t width, int32_t channels,
                                          int is_first) {
    int32_t c = 0;
    for (; c + 4 <= channels; c += 4) {
        const thimble_pixel_sums none = {0, 0};
        const thimble_pixel_sums before = is_first ? none : thimble_load_sums(sums + c);
        thimble_store_sums(sums + c, thimble_add_pixels(before, row + c, width, channels));
    }
    for (; c < channels; c++) {
        sums[c] = (int16_t)thimble_row_sum_s8(is_first ? 0 : sums[c], row + c, width, channels);
    }
}

/* The sum of channel c of `channels`. */
static inline int32_t thimble_accumulated(const int16_t *sums, int32_t c, int32_t channels) {
    const int32_t four = c / 4 * 4;
    return four + 4 <= channels ? thimble_sum_of_channel(thimble_load_sums(sums + four), c - four) : sums[c];
}

#endif
