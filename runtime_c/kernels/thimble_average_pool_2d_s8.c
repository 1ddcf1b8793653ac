/* SPDX-License-Identifier: 0BSD */
#include "thimble_average_pool_2d_s8.h"

#include "thimble_common.h"

/* Sum of one channel over a window inside of the image that begins at row `image`; the kernel's caller checked that it
 * fits. */
static int32_t window_sum(const thimble_pool_2d_params *p, const thimble_rows *input, int32_t image, thimble_span rows,
                          thimble_span columns, int32_t channel) {
    int32_t sum = 0;
    for (int32_t y = rows.begin; y < rows.end; y++) {
        const int8_t *line = thimble_row(input, image + y);
        int32_t at = columns.begin * p->channels + channel;
        for (int32_t x = columns.begin; x < columns.end; x++) {
            sum += line[at];
            at += p->channels;
        }
    }
    return sum;
}

void thimble_average_pool_2d_s8(const thimble_average_pool_2d_s8_params *params, const thimble_rows *input,
                                const thimble_rows *output, int32_t first, int32_t end) {
    const thimble_average_pool_2d_s8_params *p = params;
    for (int32_t row = first; row < end; row++) {
        const int32_t image = thimble_image(p->window, row);
        const thimble_span rows = thimble_row_span(p->window, row);
        int8_t *out = thimble_row(output, row);
        for (int32_t x = 0; x < p->window.output_width; x++) {
            const thimble_span columns = thimble_column_span(p->window, x);
            const int32_t count = (rows.end - rows.begin) * (columns.end - columns.begin);
            for (int32_t c = 0; c < p->channels; c++) {
                const int32_t sum = window_sum(p, input, image, rows, columns, c);
                const int32_t value = thimble_rounded_mean(sum, count);
                *out++ = (int8_t)thimble_clamp(value, p->output_min, p->output_max);
            }
        }
    }
}
