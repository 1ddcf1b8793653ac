/* SPDX-License-Identifier: 0BSD */
#include "thimble_average_pool_2d_dsp.h"

#include "thimble_common.h"
#include "thimble_pixel_sums_dsp.h"

/* The part of a window inside of the image that begins at row `image`. */
typedef struct {
    int32_t image;
    thimble_span rows;
    thimble_span columns;
} window;

static int8_t mean(const thimble_pool_2d_params *p, int32_t sum, int32_t count) {
    const int32_t value = thimble_rounded_mean(sum, count);
    return (int8_t)thimble_clamp(value, p->output_min, p->output_max);
}

/* Four channels from `channel` on. */
static thimble_pixel_sums sum_four(const thimble_pool_2d_params *p, const thimble_rows *input, window w,
                                   int32_t channel) {
    thimble_pixel_sums sums = {0, 0};
    const int32_t at = w.columns.begin * p->channels + channel;
    const int32_t width = w.columns.end - w.columns.begin;
    const int in_one = width == p->window.input_width && input->offsets == 0;
    const int32_t lines = in_one ? 1 : w.rows.end - w.rows.begin;
    const int32_t pixels = in_one ? width * (w.rows.end - w.rows.begin) : width;
    for (int32_t i = 0; i < lines; i++) {
        const int8_t *line = thimble_row(input, w.image + w.rows.begin + i);
        sums = thimble_add_pixels(sums, line + at, pixels, p->channels);
    }
    return sums;
}

static int32_t sum_one(const thimble_pool_2d_params *p, const thimble_rows *input, window w, int32_t channel) {
    int32_t sum = 0;
    for (int32_t y = w.rows.begin; y < w.rows.end; y++) {
        const int8_t *line = thimble_row(input, w.image + y);
        for (int32_t x = w.columns.begin; x < w.columns.end; x++) {
            sum += line[x * p->channels + channel];
        }
    }
    return sum;
}

void thimble_average_pool_2d_dsp(const thimble_average_pool_2d_dsp_params *params, const thimble_rows *input,
                                 const thimble_rows *output, int32_t first, int32_t end) {
    const thimble_pool_2d_params *p = params;
    for (int32_t row = first; row < end; row++) {
        const int32_t image = thimble_image(p->window, row);
        const thimble_span rows = thimble_row_span(p->window, row);
        int8_t *out = thimble_row(output, row);
        for (int32_t x = 0; x < p->window.output_width; x++) {
            const window w = {image, rows, thimble_column_span(p->window, x)};
            const int32_t count = (w.rows.end - w.rows.begin) * (w.columns.end - w.columns.begin);
            int32_t c = 0;
            for (; c + 4 <= p->channels; c += 4) {
                const thimble_pixel_sums sums = sum_four(p, input, w, c);
                for (int32_t i = 0; i < 4; i++) {
                    *out++ = mean(p, thimble_sum_of_channel(sums, i), count);
                }
            }
            for (; c < p->channels; c++) {
                *out++ = mean(p, sum_one(p, input, w, c), count);
            }
        }
    }
}
