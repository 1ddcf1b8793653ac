/* SPDX-License-Identifier: 0BSD */
#include "thimble_fully_connected_s16.h"

#include "thimble_common.h"

void thimble_fully_connected_s16(const thimble_fully_connected_s16_params *params, const int16_t *input,
                                 const int8_t *weights, const int64_t *bias, const int32_t *multipliers,
                                 const int8_t *shifts, int16_t *output) {
    const thimble_fully_connected_s16_params *p = params;
    for (int32_t row = 0; row < p->rows; row++) {
        for (int32_t o = 0; o < p->output_channels; o++) {
            const int8_t *w = weights + o * p->depth;
            int64_t sum = bias[o];
            for (int32_t d = 0; d < p->depth; d++) {
                sum += input[d] * (w[d] - p->weights_zero_point);
            }
            const int32_t value = p->wide_sums != 0 ? thimble_requantize_wide(sum, multipliers[o], shifts[o])
                                                    : thimble_requantize((int32_t)sum, multipliers[o], shifts[o]);
            *output++ = (int16_t)thimble_clamp(value, p->output_min, p->output_max);
        }
        input += p->depth;
    }
}
