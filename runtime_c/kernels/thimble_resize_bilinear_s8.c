/* SPDX-License-Identifier: 0BSD */
#include "thimble_resize_bilinear_s8.h"

enum { FRACTION_BITS = 10, ONE = 1 << FRACTION_BITS };

/* Two neighbours along an axis and their weights, which add up to ONE. */
typedef struct {
    int32_t low;
    int32_t high;
    int32_t low_weight;
    int32_t high_weight;
} neighbours;

static neighbours around(int32_t position, int32_t size) {
    const int32_t low = position >> FRACTION_BITS;
    const int32_t fraction = position & (ONE - 1);
    const neighbours n = {low, fraction > 0 && low + 1 < size ? low + 1 : low, ONE - fraction, fraction};
    return n;
}

void thimble_resize_bilinear_s8(const thimble_resize_bilinear_s8_params *params, const thimble_rows *input,
                                const int32_t *rows, const int32_t *columns, const thimble_rows *output, int32_t first,
                                int32_t end) {
    const thimble_resize_bilinear_s8_params *p = params;
    for (int32_t row = first; row < end; row++) {
        const int32_t image = row / p->output_height;
        const neighbours v = around(rows[row - image * p->output_height], p->input_height);
        const int8_t *top = thimble_row(input, image * p->input_height + v.low);
        const int8_t *bottom = thimble_row(input, image * p->input_height + v.high);
        int8_t *out = thimble_row(output, row);
        for (int32_t x = 0; x < p->output_width; x++) {
            const neighbours h = around(columns[x], p->input_width);
            const int32_t left = h.low * p->channels;
            const int32_t right = h.high * p->channels;
            for (int32_t c = 0; c < p->channels; c++) {
                /* The weights add up to 2^20, so the sum stays below 2^27. */
                const int32_t above = top[left + c] * h.low_weight + top[right + c] * h.high_weight;
                const int32_t below = bottom[left + c] * h.low_weight + bottom[right + c] * h.high_weight;
                const int32_t sum = above * v.low_weight + below * v.high_weight;
                *out++ = (int8_t)((sum > 0 ? sum + ONE * ONE / 2 : sum - ONE * ONE / 2) / (ONE * ONE));
            }
        }
    }
}
