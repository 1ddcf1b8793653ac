/* SPDX-License-Identifier: 0BSD */
#include "thimble_max_pool_2d_s8.h"

#include "thimble_common.h"

/* Maximum of one channel over a window. */
static int32_t window_max(const thimble_pool_2d_params *p, const int8_t *input, thimble_span rows,
                          thimble_span columns) {
    int32_t max = INT8_MIN;
    for (int32_t y = rows.begin; y < rows.end; y++) {
        for (int32_t x = columns.begin; x < columns.end; x++) {
            const int32_t value = input[(y * p->input_width + x) * p->channels];
            max = value > max ? value : max;
        }
    }
    return max;
}

void thimble_max_pool_2d_s8(const thimble_max_pool_2d_s8_params *params, const int8_t *input, int8_t *output) {
    const thimble_max_pool_2d_s8_params *p = params;
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->output_height; y++) {
            const thimble_span rows =
                thimble_window_span(y * p->stride_height - p->pad_top, p->kernel_height, p->input_height);
            for (int32_t x = 0; x < p->output_width; x++) {
                const thimble_span columns =
                    thimble_window_span(x * p->stride_width - p->pad_left, p->kernel_width, p->input_width);
                for (int32_t c = 0; c < p->channels; c++) {
                    const int32_t value = window_max(p, input + c, rows, columns);
                    *output++ = (int8_t)thimble_clamp(value, p->output_min, p->output_max);
                }
            }
        }
        input += p->input_height * p->input_width * p->channels;
    }
}
