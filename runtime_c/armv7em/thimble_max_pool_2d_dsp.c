/* SPDX-License-Identifier: 0BSD */
#include "thimble_max_pool_2d_dsp.h"

#include "thimble_common.h"
#include "thimble_dsp.h"

/* The part of a window inside of the image that begins at row `image`. */
typedef struct {
    int32_t image;
    thimble_span rows;
    thimble_span columns;
} window;

/* Four channels from `channel` on. */
static uint32_t max_of_four(const thimble_pool_2d_params *p, const thimble_rows *input, window w, int32_t channel) {
    uint32_t most = 0x80808080u;
    for (int32_t y = w.rows.begin; y < w.rows.end; y++) {
        const int8_t *in = thimble_row(input, w.image + y);
        in += w.columns.begin * p->channels + channel;
        for (int32_t x = w.columns.begin; x < w.columns.end; x++) {
            most = thimble_max_bytes(most, thimble_load_4(in));
            in += p->channels;
        }
    }
    return most;
}

static int32_t max_of_one(const thimble_pool_2d_params *p, const thimble_rows *input, window w, int32_t channel) {
    int32_t most = INT8_MIN;
    for (int32_t y = w.rows.begin; y < w.rows.end; y++) {
        const int8_t *line = thimble_row(input, w.image + y);
        for (int32_t x = w.columns.begin; x < w.columns.end; x++) {
            const int32_t value = line[x * p->channels + channel];
            most = value > most ? value : most;
        }
    }
    return most;
}

void thimble_max_pool_2d_dsp(const thimble_max_pool_2d_dsp_params *params, const thimble_rows *input,
                             const thimble_rows *output, int32_t first, int32_t end) {
    const thimble_pool_2d_params *p = params;
    const uint32_t low = (uint32_t)(p->output_min & 0xFF) * 0x01010101u;
    const uint32_t high = (uint32_t)(p->output_max & 0xFF) * 0x01010101u;
    for (int32_t row = first; row < end; row++) {
        const int32_t image = thimble_image(p->window, row);
        const thimble_span rows = thimble_row_span(p->window, row);
        int8_t *out = thimble_row(output, row);
        for (int32_t x = 0; x < p->window.output_width; x++) {
            const window w = {image, rows, thimble_column_span(p->window, x)};
            int32_t c = 0;
            for (; c + 4 <= p->channels; c += 4) {
                const uint32_t most = thimble_max_bytes(max_of_four(p, input, w, c), low);
                thimble_store_4(out, thimble_min_bytes(most, high));
                out += 4;
            }
            for (; c < p->channels; c++) {
                *out++ = (int8_t)thimble_clamp(max_of_one(p, input, w, c), p->output_min, p->output_max);
            }
        }
    }
}
