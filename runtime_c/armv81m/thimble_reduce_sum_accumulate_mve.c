/* SPDX-License-Identifier: 0BSD */
#include "thimble_reduce_sum_accumulate_mve.h"

#include "thimble_accumulate_mve.h"

void thimble_reduce_sum_accumulate_mve(const thimble_reduce_sum_accumulate_mve_params *params,
                                       const thimble_rows *input, int16_t *sums, int8_t *output, int32_t first,
                                       int32_t end) {
    const thimble_accumulate_sum_params *p = params;
    for (int32_t y = first; y < end; y++) {
        thimble_accumulate_row_mve(sums, thimble_row(input, y), p->input_width, p->channels, y == 0);
    }
    if (end == p->input_height) {
        for (int32_t c = 0; c < p->channels; c++) {
            const int32_t sum = thimble_add(sums[c], p->offset);
            const int32_t scaled = thimble_requantize(sum, p->multiplier, p->shift);
            output[c] = (int8_t)thimble_clamp(thimble_add(scaled, p->output_zero_point), INT8_MIN, INT8_MAX);
        }
    }
}
