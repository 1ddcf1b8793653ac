/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_CONV_2D_PACKED_H
#define THIMBLE_CONV_2D_PACKED_H

#include <stdint.h>

#include "thimble_common.h"
#include "thimble_conv_2d_s8.h"
#include "thimble_packed.h"
#include "thimble_window.h"

/* Zero points and output limits in the range of their own type. */
typedef thimble_conv_2d_s8_params thimble_conv_2d_packed_params;

/* Sum of products of the taps of one window inside of the image that begins at row `image`, with the weights of one
 * output channel. `runs` are what its columns see of a row, `first_weight` is that of its first column inside. */
static inline int32_t thimble_conv_2d_packed_sum(const thimble_conv_2d_packed_params *p, const thimble_rows *input,
                                                 int32_t image, thimble_taps rows, thimble_runs runs,
                                                 const uint8_t *weights, int32_t first_weight,
                                                 thimble_packed_widths bits) {
    int32_t sum = 0;
    int32_t y = image + rows.position;
    for (int32_t ky = rows.begin; ky < rows.end; ky++) {
        thimble_packed_run in = {thimble_row(input, y), runs.first, bits.input};
        thimble_packed_run w = {weights, ky * p->window.kernel_width * p->group_channels + first_weight, bits.weights};
        for (int32_t run = 0; run < runs.count; run++) {
            sum += thimble_packed_dot(in, p->input_zero_point, w, runs.length);
            in.first += runs.step;
            w.first += runs.length;
        }
        y += rows.step;
    }
    return sum;
}

/* Convolution, activations and weights of 2, 4 or 8 bits, int32 accumulators, one multiplier and shift for each output
 * channel.
 * input (batches, input_height, input_width, input_channels), each pixel from a byte on
 * weights (output_channels, kernel_height * kernel_width * group_channels), each output channel from a byte on
 * bias, multipliers, shifts (output_channels)
 * output (batches, output_height, output_width, output_channels), each pixel from a byte on; rows may lie over input
 * rows as far as reads stay ahead; the call computes rows [first, end) of batches * output_height */
static inline void thimble_conv_2d_packed(const thimble_conv_2d_packed_params *params, const thimble_rows *input,
                                          const void *weights, const int32_t *bias, const int32_t *multipliers,
                                          const int8_t *shifts, const thimble_rows *output, int32_t first, int32_t end,
                                          thimble_packed_widths bits) {
    /* Bytes that are stored may alias anything but this copy: the original would be read from flash at every tap. */
    const thimble_conv_2d_packed_params copy = *params;
    const thimble_conv_2d_packed_params *p = &copy;
    const int32_t outputs_per_group = p->output_channels / (p->input_channels / p->group_channels);
    const int32_t kernel_bytes =
        thimble_packed_bytes(p->window.kernel_height * p->window.kernel_width * p->group_channels, bits.weights);
    const int32_t pixel = thimble_packed_pixel(p->input_channels, bits.input);
    for (int32_t row = first; row < end; row++) {
        const int32_t image = thimble_image(p->window, row);
        const thimble_taps rows = thimble_row_taps(p->window, p->dilation_height, row);
        thimble_packed_writer out = {thimble_row(output, row), 0, 0};
        for (int32_t x = 0; x < p->window.output_width; x++) {
            const thimble_taps columns = thimble_column_taps(p->window, p->dilation_width, x);
            const thimble_runs seen = thimble_runs_under(columns, pixel, p->group_channels);
            for (int32_t o = 0; o < p->output_channels; o++) {
                thimble_runs runs = seen;
                runs.first += o / outputs_per_group * p->group_channels;
                const int32_t sum = bias[o] + thimble_conv_2d_packed_sum(p, input, image, rows, runs,
                                                                         (const uint8_t *)weights + o * kernel_bytes,
                                                                         columns.begin * p->group_channels, bits);
                const int32_t value =
                    thimble_add(thimble_requantize(sum, multipliers[o], shifts[o]), p->output_zero_point);
                thimble_packed_put(&out, thimble_clamp(value, p->output_min, p->output_max), bits.output);
            }
            thimble_packed_end(&out);
        }
    }
}

#endif
