/* SPDX-License-Identifier: 0BSD */
#include "thimble_max_pool_2d_s16.h"

#include "thimble_common.h"

/* Maximum of one channel over a window inside of the image that begins at row `image`. */
static int32_t window_max(const thimble_pool_2d_params *p, const thimble_rows *input, int32_t image, thimble_span rows,
                          thimble_span columns, int32_t channel) {
    int32_t max = INT16_MIN;
    for (int32_t y = rows.begin; y < rows.end; y++) {
        const int16_t *line = thimble_row(input, image + y);
        int32_t at = columns.begin * p->channels + channel;
        for (int32_t x = columns.begin; x < columns.end; x++) {
            max = line[at] > max ? line[at] : max;
            at += p->channels;
        }
    }
    return max;
}

void thimble_max_pool_2d_s16(const thimble_max_pool_2d_s16_params *params, const thimble_rows *input,
                             const thimble_rows *output, int32_t first, int32_t end) {
    const thimble_max_pool_2d_s16_params *p = params;
    for (int32_t row = first; row < end; row++) {
        const int32_t image = thimble_image(p->window, row);
        const thimble_span rows = thimble_row_span(p->window, row);
        int16_t *out = thimble_row(output, row);
        for (int32_t x = 0; x < p->window.output_width; x++) {
            const thimble_span columns = thimble_column_span(p->window, x);
            for (int32_t c = 0; c < p->channels; c++) {
                const int32_t value = window_max(p, input, image, rows, columns, c);
                *out++ = (int16_t)thimble_clamp(value, p->output_min, p->output_max);
            }
        }
    }
}
