/* SPDX-License-Identifier: 0BSD */
#include "thimble_reduce_pixels_mve.h"

#include "thimble_pixel_sums_mve.h"

#define LANES 8
#define MOST 255 /* pixels whose sum surely fits 16 bits */

void thimble_reduce_pixels_mve(const thimble_reduce_pixels_mve_params *params, const int8_t *input, int8_t *output) {
    const thimble_reduce_pixels_params *p = params;
    for (int32_t c = 0; c < p->channels; c += LANES) {
        const int32_t channels = p->channels - c < LANES ? p->channels - c : LANES;
        const mve_pred16_t active = vctp16q((uint32_t)channels);
        int32_t totals[LANES] = {0};
        for (int32_t pixel = 0; pixel < p->pixels; pixel += MOST) {
            const int32_t count = p->pixels - pixel < MOST ? p->pixels - pixel : MOST;
            const int8_t *from = input + pixel * p->channels + c;
            int16_t sums[LANES];
            vstrhq_p_s16(sums, thimble_add_pixels_mve(vdupq_n_s16(0), from, count, p->channels, active), active);
            for (int32_t i = 0; i < channels; i++) {
                totals[i] = thimble_add(totals[i], sums[i]);
            }
        }
        for (int32_t i = 0; i < channels; i++) {
            output[c + i] = thimble_reduced(p, totals[i]);
        }
    }
}
