/* SPDX-License-Identifier: 0BSD */
#include "thimble_conv_2d_s16.h"

#include "thimble_common.h"

/* Sum of products of one window whose first tap lies at (row, column); taps outside of the input add nothing. */
static int64_t window_sum(const thimble_conv_2d_s16_params *p, const int16_t *input, const int8_t *weights, int32_t row,
                          int32_t column) {
    int64_t sum = 0;
    for (int32_t ky = 0; ky < p->kernel_height; ky++) {
        const int32_t y = row + ky * p->dilation_height;
        if (y < 0 || y >= p->input_height) {
            continue;
        }
        for (int32_t kx = 0; kx < p->kernel_width; kx++) {
            const int32_t x = column + kx * p->dilation_width;
            if (x < 0 || x >= p->input_width) {
                continue;
            }
            const int16_t *in = input + (y * p->input_width + x) * p->input_channels;
            const int8_t *w = weights + (ky * p->kernel_width + kx) * p->group_channels;
            for (int32_t c = 0; c < p->group_channels; c++) {
                sum += in[c] * w[c];
            }
        }
    }
    return sum;
}

void thimble_conv_2d_s16(const thimble_conv_2d_s16_params *params, const int16_t *input, const int8_t *weights,
                         const int64_t *bias, const int32_t *multipliers, const int8_t *shifts, int16_t *output) {
    const thimble_conv_2d_s16_params *p = params;
    const int32_t groups = p->input_channels / p->group_channels;
    const int32_t outputs_per_group = p->output_channels / groups;
    const int32_t kernel_size = p->kernel_height * p->kernel_width * p->group_channels;
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->output_height; y++) {
            for (int32_t x = 0; x < p->output_width; x++) {
                for (int32_t o = 0; o < p->output_channels; o++) {
                    const int16_t *group_input = input + (o / outputs_per_group) * p->group_channels;
                    const int64_t sum =
                        bias[o] + window_sum(p, group_input, weights + o * kernel_size,
                                             y * p->stride_height - p->pad_top, x * p->stride_width - p->pad_left);
                    const int32_t value = p->wide_sums != 0
                                              ? thimble_requantize_wide(sum, multipliers[o], shifts[o])
                                              : thimble_requantize((int32_t)sum, multipliers[o], shifts[o]);
                    *output++ = (int16_t)thimble_clamp(value, p->output_min, p->output_max);
                }
            }
        }
        input += p->input_height * p->input_width * p->input_channels;
    }
}
