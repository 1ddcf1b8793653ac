/* SPDX-License-Identifier: 0BSD */
#include "thimble_fully_connected_accumulate_s16.h"

#include "thimble_common.h"

void thimble_fully_connected_accumulate_s16(const thimble_fully_connected_accumulate_s16_params *params,
                                            const thimble_rows *input, const int8_t *weights, const int64_t *bias,
                                            const int32_t *multipliers, const int8_t *shifts, int64_t *sums,
                                            int16_t *output, int32_t first, int32_t end) {
    const thimble_fully_connected_accumulate_s16_params *p = params;
    for (int32_t y = first; y < end; y++) {
        const int16_t *in = thimble_row(input, y);
        for (int32_t o = 0; o < p->output_channels; o++) {
            const int8_t *w = weights + (o * p->input_rows + y) * p->row_size;
            int64_t sum = y == 0 ? bias[o] : sums[o];
            for (int32_t i = 0; i < p->row_size; i++) {
                sum += in[i] * (w[i] - p->weights_zero_point);
            }
            sums[o] = sum;
        }
    }
    if (end == p->input_rows) {
        for (int32_t o = 0; o < p->output_channels; o++) {
            const int32_t value = p->wide_sums != 0 ? thimble_requantize_wide(sums[o], multipliers[o], shifts[o])
                                                    : thimble_requantize((int32_t)sums[o], multipliers[o], shifts[o]);
            output[o] = (int16_t)thimble_clamp(value, p->output_min, p->output_max);
        }
    }
}
