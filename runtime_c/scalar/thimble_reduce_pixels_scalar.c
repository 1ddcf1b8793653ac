/* SPDX-License-Identifier: 0BSD */
#include "thimble_reduce_pixels_scalar.h"

#define UNROLL 4

void thimble_reduce_pixels_scalar(const thimble_reduce_pixels_scalar_params *params, const int8_t *input,
                                  int8_t *output) {
    const thimble_reduce_pixels_params *p = params;
    const int32_t channels = p->channels, fours = p->pixels / UNROLL;
    for (int32_t c = 0; c < channels; c++) {
        const int8_t *in = input + c;
        int32_t sum = 0;
        for (int32_t i = 0; i < fours; i++) {
            sum = thimble_add(sum, in[0] + in[channels]);
            in += 2 * channels;
            sum = thimble_add(sum, in[0] + in[channels]);
            in += 2 * channels;
        }
        for (int32_t i = UNROLL * fours; i < p->pixels; i++) {
            sum = thimble_add(sum, *in);
            in += channels;
        }
        output[c] = thimble_reduced(p, sum);
    }
}
