/* SPDX-License-Identifier: 0BSD */
#include "thimble_max_accumulate_s8.h"

void thimble_max_accumulate_s8(const thimble_max_accumulate_s8_params *params, const thimble_rows *input,
                               int8_t *maxima, int8_t *output, int32_t first, int32_t end) {
    const thimble_accumulate_params *p = params;
    for (int32_t y = first; y < end; y++) {
        const int8_t *in = thimble_row(input, y);
        for (int32_t c = 0; c < p->channels; c++) {
            int8_t max = y == 0 ? INT8_MIN : maxima[c];
            for (int32_t x = 0; x < p->input_width; x++) {
                const int8_t value = in[x * p->channels + c];
                max = value > max ? value : max;
            }
            maxima[c] = max;
        }
    }
    if (end == p->input_height) {
        for (int32_t c = 0; c < p->channels; c++) {
            output[c] = (int8_t)thimble_clamp(maxima[c], p->output_min, p->output_max);
        }
    }
}
