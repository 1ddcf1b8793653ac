/* SPDX-License-Identifier: 0BSD */
/* What the kernels share that take an input row by row, eight channels at a time. */
#ifndef THIMBLE_ACCUMULATE_MVE_H
#define THIMBLE_ACCUMULATE_MVE_H

#include "thimble_accumulate.h"
#include "thimble_pixel_sums_mve.h"

/* Sums and a row of `width` pixels more; without sums so far where it is the `first` row. */
static inline void thimble_accumulate_row_mve(int16_t *sums, const int8_t *row, int32_t width, int32_t channels,
                                              int is_first) {
    for (int32_t c = 0; c < channels; c += 8) {
        const mve_pred16_t active = vctp16q((uint32_t)(channels - c));
        const int16x8_t before = is_first ? vdupq_n_s16(0) : vldrhq_z_s16(sums + c, active);
        vstrhq_p_s16(sums + c, thimble_add_pixels_mve(before, row + c, width, channels, active), active);
    }
}

#endif
