/* SPDX-License-Identifier: 0BSD */
#include "thimble_depthwise_conv_2d_s8.h"

#include "thimble_common.h"

/* Sum of products of one input channel's window whose first tap lies at (row, column), with the weights of one output
 * channel; taps outside of the input add nothing. */
static int32_t window_sum(const thimble_depthwise_conv_2d_s8_params *p, const int8_t *input, const int8_t *weights,
                          int32_t row, int32_t column) {
    int32_t sum = 0;
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
            const int32_t in = input[(y * p->input_width + x) * p->input_channels] - p->input_zero_point;
            sum += in * weights[(ky * p->kernel_width + kx) * p->output_channels];
        }
    }
    return sum;
}

void thimble_depthwise_conv_2d_s8(const thimble_depthwise_conv_2d_s8_params *params, const int8_t *input,
                                  const int8_t *weights, const int32_t *bias, const int32_t *multipliers,
                                  const int8_t *shifts, int8_t *output) {
    const thimble_depthwise_conv_2d_s8_params *p = params;
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->output_height; y++) {
            for (int32_t x = 0; x < p->output_width; x++) {
                for (int32_t o = 0; o < p->output_channels; o++) {
                    const int32_t sum =
                        bias[o] + window_sum(p, input + o / p->multiplier, weights + o,
                                             y * p->stride_height - p->pad_top, x * p->stride_width - p->pad_left);
                    const int32_t value =
                        thimble_add(thimble_requantize(sum, multipliers[o], shifts[o]), p->output_zero_point);
                    *output++ = (int8_t)thimble_clamp(value, p->output_min, p->output_max);
                }
            }
        }
        input += p->input_height * p->input_width * p->input_channels;
    }
}
