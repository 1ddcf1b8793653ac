/* SPDX-License-Identifier: 0BSD */
#include "thimble_average_pool_2d_accumulate_s8_s32.h"

void thimble_average_pool_2d_accumulate_s8_s32(const thimble_average_pool_2d_accumulate_s8_s32_params *params,
                                               const thimble_rows *input, int32_t *sums, int8_t *output, int32_t first,
                                               int32_t end) {
    const thimble_accumulate_params *p = params;
    for (int32_t y = first; y < end; y++) {
        const int8_t *in = thimble_row(input, y);
        for (int32_t c = 0; c < p->channels; c++) {
            const int32_t before = y == 0 ? 0 : sums[c];
            sums[c] = thimble_row_sum_s8(before, in + c, p->input_width, p->channels);
        }
    }
    if (end == p->input_height) {
        const int32_t count = p->input_height * p->input_width;
        for (int32_t c = 0; c < p->channels; c++) {
            const int32_t sum = sums[c];
            const int32_t value = thimble_rounded_mean(sum, count);
            output[c] = (int8_t)thimble_clamp(value, p->output_min, p->output_max);
        }
    }
}
