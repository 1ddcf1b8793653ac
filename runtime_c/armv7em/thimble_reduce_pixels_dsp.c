/* SPDX-License-Identifier: 0BSD */
#include "thimble_reduce_pixels_dsp.h"

#include "thimble_pixel_sums_dsp.h"

#define MOST 255 /* pixels whose sum surely fits 16 bits */

void thimble_reduce_pixels_dsp(const thimble_reduce_pixels_dsp_params *params, const int8_t *input, int8_t *output) {
    const thimble_reduce_pixels_params *p = params;
    int32_t c = 0;
    for (; c + 4 <= p->channels; c += 4) {
        int32_t totals[4] = {0};
        for (int32_t pixel = 0; pixel < p->pixels; pixel += MOST) {
            const thimble_pixel_sums none = {0, 0};
            const int32_t count = p->pixels - pixel < MOST ? p->pixels - pixel : MOST;
            const int8_t *from = input + pixel * p->channels + c;
            const thimble_pixel_sums sums = thimble_add_pixels(none, from, count, p->channels);
            for (int32_t i = 0; i < 4; i++) {
                totals[i] = thimble_add(totals[i], thimble_sum_of_channel(sums, i));
            }
        }
        for (int32_t i = 0; i < 4; i++) {
            output[c + i] = thimble_reduced(p, totals[i]);
        }
    }
    for (; c < p->channels; c++) {
        int32_t total = 0;
        for (int32_t pixel = 0; pixel < p->pixels; pixel++) {
            total = thimble_add(total, input[pixel * p->channels + c]);
        }
        output[c] = thimble_reduced(p, total);
    }
}
