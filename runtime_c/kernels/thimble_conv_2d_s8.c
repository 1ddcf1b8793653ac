/* SPDX-License-Identifier: 0BSD */
#include "thimble_conv_2d_s8.h"

#include "thimble_common.h"
#include "thimble_window.h"

/* Sum of products of the taps of one window inside of the image that begins at row `image`, with the weights of one
 * output channel. `runs` are what its columns see of a row, `weights` begin with those of its first column inside. */
static int32_t window_sum(const thimble_conv_2d_s8_params *p, const thimble_rows *input, int32_t image,
                          thimble_taps rows, thimble_runs runs, const int8_t *weights) {
    int32_t sum = 0;
    int32_t y = image + rows.position;
    for (int32_t ky = rows.begin; ky < rows.end; ky++) {
        const int8_t *line = thimble_row(input, y);
        int32_t at = runs.first;
        int32_t weight = ky * p->window.kernel_width * p->group_channels;
        for (int32_t run = 0; run < runs.count; run++) {
            const int8_t *in = line + at;
            const int8_t *w = weights + weight;
            for (int32_t i = 0; i < runs.length; i++) {
                sum += (in[i] - p->input_zero_point) * w[i];
            }
            at += runs.step;
            weight += runs.length;
        }
        y += rows.step;
    }
    return sum;
}

void thimble_conv_2d_s8(const thimble_conv_2d_s8_params *params, const thimble_rows *input, const int8_t *weights,
                        const int32_t *bias, const int32_t *multipliers, const int8_t *shifts,
                        const thimble_rows *output, int32_t first, int32_t end) {
    /* Bytes that are stored may alias anything but this copy: the original would be read from flash at every tap. */
    const thimble_conv_2d_s8_params copy = *params;
    const thimble_conv_2d_s8_params *p = &copy;
    const int32_t outputs_per_group = p->output_channels / (p->input_channels / p->group_channels);
    const int32_t kernel_size = p->window.kernel_height * p->window.kernel_width * p->group_channels;
    for (int32_t row = first; row < end; row++) {
        const int32_t image = thimble_image(p->window, row);
        const thimble_taps rows = thimble_row_taps(p->window, p->dilation_height, row);
        int8_t *out = thimble_row(output, row);
        for (int32_t x = 0; x < p->window.output_width; x++) {
            const thimble_taps columns = thimble_column_taps(p->window, p->dilation_width, x);
            const thimble_runs pixel = thimble_runs_under(columns, p->input_channels, p->group_channels);
            const int8_t *w = weights + columns.begin * p->group_channels;
            for (int32_t o = 0; o < p->output_channels; o++) {
                thimble_runs runs = pixel;
                runs.first += o / outputs_per_group * p->group_channels;
                const int32_t sum = bias[o] + window_sum(p, input, image, rows, runs, w + o * kernel_size);
                const int32_t value =
                    thimble_add(thimble_requantize(sum, multipliers[o], shifts[o]), p->output_zero_point);
                *out++ = (int8_t)thimble_clamp(value, p->output_min, p->output_max);
            }
        }
    }
}
