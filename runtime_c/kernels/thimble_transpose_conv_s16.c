/* SPDX-License-Identifier: 0BSD */
#include "thimble_transpose_conv_s16.h"

#include "thimble_common.h"

/* Sum of products at output position (row - pad_top, column - pad_left) of the image that begins at input row `image`:
 * input element (y, x) meets tap (row - y * stride_height, column - x * stride_width) of the kernel. */
static int64_t gather_sum(const thimble_transpose_conv_s16_params *p, const thimble_rows *input, int32_t image,
                          const int8_t *weights, int32_t row, int32_t column) {
    int64_t sum = 0;
    const thimble_window window = p->window;
    int32_t y = row / window.stride_height;
    for (int32_t ky = row % window.stride_height; ky < window.kernel_height && y >= 0;
         ky += window.stride_height, y--) {
        if (y >= window.input_height) {
            continue;
        }
        const int16_t *line = thimble_row(input, image + y);
        int32_t x = column / window.stride_width;
        for (int32_t kx = column % window.stride_width; kx < window.kernel_width && x >= 0;
             kx += window.stride_width, x--) {
            if (x >= window.input_width) {
                continue;
            }
            const int16_t *in = line + x * p->input_channels;
            const int8_t *w = weights + (ky * window.kernel_width + kx) * p->input_channels;
            for (int32_t c = 0; c < p->input_channels; c++) {
                sum += in[c] * w[c];
            }
        }
    }
    return sum;
}

void thimble_transpose_conv_s16(const thimble_transpose_conv_s16_params *params, const thimble_rows *input,
                                const int8_t *weights, const int64_t *bias, const int32_t *multipliers,
                                const int8_t *shifts, const thimble_rows *output, int32_t first, int32_t end) {
    const thimble_transpose_conv_s16_params *p = params;
    const int32_t kernel_size = p->window.kernel_height * p->window.kernel_width * p->input_channels;
    for (int32_t row = first; row < end; row++) {
        const int32_t image = thimble_image(p->window, row);
        const int32_t y = row % p->window.output_height;
        int16_t *out = thimble_row(output, row);
        for (int32_t x = 0; x < p->window.output_width; x++) {
            for (int32_t o = 0; o < p->output_channels; o++) {
                const int64_t sum = bias[o] + gather_sum(p, input, image, weights + o * kernel_size,
                                                         y + p->window.pad_top, x + p->window.pad_left);
                const int32_t value = thimble_requantize_wide(sum, multipliers[o], shifts[o]);
                *out++ = (int16_t)thimble_clamp(value, p->output_min, p->output_max);
            }
        }
    }
}
