/* SPDX-License-Identifier: 0BSD */
#include "thimble_depthwise_conv_2d_s16.h"

#include "thimble_common.h"
#include "thimble_window.h"

/* Sum of products of the taps of one window inside of the image that begins at row `image`, in input channel
 * `channel`, with the weights of one output channel. */
static int64_t window_sum(const thimble_depthwise_conv_2d_s16_params *p, const thimble_rows *input, int32_t image,
                          thimble_taps rows, thimble_taps columns, int32_t channel, const int8_t *weights) {
    const int32_t first = columns.position * p->input_channels + channel;
    const int32_t step = columns.step * p->input_channels;
    int64_t sum = 0;
    int32_t y = image + rows.position;
    for (int32_t ky = rows.begin; ky < rows.end; ky++) {
        const int16_t *line = thimble_row(input, y);
        int32_t weight = (ky * p->window.kernel_width + columns.begin) * p->output_channels;
        int32_t at = first;
        for (int32_t kx = columns.begin; kx < columns.end; kx++) {
            sum += line[at] * weights[weight];
            at += step;
            weight += p->output_channels;
        }
        y += rows.step;
    }
    return sum;
}

void thimble_depthwise_conv_2d_s16(const thimble_depthwise_conv_2d_s16_params *params, const thimble_rows *input,
                                   const int8_t *weights, const int64_t *bias, const int32_t *multipliers,
                                   const int8_t *shifts, const thimble_rows *output, int32_t first, int32_t end) {
    const thimble_depthwise_conv_2d_s16_params *p = params;
    for (int32_t row = first; row < end; row++) {
        const int32_t image = thimble_image(p->window, row);
        const thimble_taps rows = thimble_row_taps(p->window, p->dilation_height, row);
        int16_t *out = thimble_row(output, row);
        for (int32_t x = 0; x < p->window.output_width; x++) {
            const thimble_taps columns = thimble_column_taps(p->window, p->dilation_width, x);
            int32_t o = 0;
            for (int32_t c = 0; c < p->input_channels; c++) {
                for (int32_t m = 0; m < p->multiplier; m++) {
                    const int64_t sum = bias[o] + window_sum(p, input, image, rows, columns, c, weights + o);
                    const int32_t value = thimble_requantize_wide(sum, multipliers[o], shifts[o]);
                    *out++ = (int16_t)thimble_clamp(value, p->output_min, p->output_max);
                    o++;
                }
            }
        }
    }
}
