/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_DEPTHWISE_CONV_2D_PACKED_H
#define THIMBLE_DEPTHWISE_CONV_2D_PACKED_H

#include <stdint.h>

#include "thimble_common.h"
#include "thimble_depthwise_conv_2d_s8.h"
#include "thimble_packed.h"
#include "thimble_window.h"

/* Zero points and output limits in the range of their own type. */
typedef thimble_depthwise_conv_2d_s8_params thimble_depthwise_conv_2d_packed_params;

/* Sum of products of the taps of one window inside of the image that begins at row `image`, in input channel
 * `channel`, with the weights of output channel `made`. */
static inline int32_t thimble_depthwise_conv_2d_packed_sum(const thimble_depthwise_conv_2d_packed_params *p,
                                                           const thimble_rows *input, int32_t image, thimble_taps rows,
                                                           thimble_taps columns, int32_t channel,
                                                           const uint8_t *weights, int32_t made,
                                                           thimble_packed_widths bits) {
    const int32_t pixel_bytes = thimble_packed_bytes(p->input_channels, bits.input);
    const int32_t tap_bytes = thimble_packed_bytes(p->output_channels, bits.weights);
    int32_t sum = 0;
    int32_t y = image + rows.position;
    for (int32_t ky = rows.begin; ky < rows.end; ky++) {
        const uint8_t *line = thimble_row(input, y);
        const uint8_t *w = weights + (ky * p->window.kernel_width + columns.begin) * tap_bytes;
        int32_t at = columns.position * pixel_bytes;
        for (int32_t kx = columns.begin; kx < columns.end; kx++) {
            sum += thimble_packed_product(line + at, channel, bits.input, p->input_zero_point, w, made, bits.weights);
            at += columns.step * pixel_bytes;
            w += tap_bytes;
        }
        y += rows.step;
    }
    return sum;
}

/* Depthwise convolution, activations and weights of 2, 4 or 8 bits, int32 accumulators, one multiplier and shift for
 * each output channel.
 * input (batches, input_height, input_width, input_channels), each pixel from a byte on
 * weights (kernel_height, kernel_width, output_channels), each tap from a byte on
 * bias, multipliers, shifts (output_channels), of which channel c * multiplier + m sees input channel c
 * output (batches, output_height, output_width, output_channels), each pixel from a byte on; rows may lie over input
 * rows as far as reads stay ahead; the call computes rows [first, end) of batches * output_height */
static inline void thimble_depthwise_conv_2d_packed(const thimble_depthwise_conv_2d_packed_params *params,
                                                    const thimble_rows *input, const void *weights, const int32_t *bias,
                                                    const int32_t *multipliers, const int8_t *shifts,
                                                    const thimble_rows *output, int32_t first, int32_t end,
                                                    thimble_packed_widths bits) {
    /* Bytes that are stored may alias anything but this copy: the original would be read from flash at every tap. */
    const thimble_depthwise_conv_2d_packed_params copy = *params;
    const thimble_depthwise_conv_2d_packed_params *p = &copy;
    for (int32_t row = first; row < end; row++) {
        const int32_t image = thimble_image(p->window, row);
        const thimble_taps rows = thimble_row_taps(p->window, p->dilation_height, row);
        thimble_packed_writer out = {thimble_row(output, row), 0, 0};
        for (int32_t x = 0; x < p->window.output_width; x++) {
            const thimble_taps columns = thimble_column_taps(p->window, p->dilation_width, x);
            int32_t o = 0;
            for (int32_t c = 0; c < p->input_channels; c++) {
                for (int32_t m = 0; m < p->multiplier; m++) {
                    const int32_t sum = bias[o] + thimble_depthwise_conv_2d_packed_sum(p, input, image, rows, columns,
                                                                                       c, weights, o, bits);
                    const int32_t value =
                        thimble_add(thimble_requantize(sum, multipliers[o], shifts[o]), p->output_zero_point);
                    thimble_packed_put(&out, thimble_clamp(value, p->output_min, p->output_max), bits.output);
                    o++;
                }
            }
            thimble_packed_end(&out);
        }
    }
}

#endif
