/* SPDX-License-Identifier: 0BSD */
#include "thimble_depthwise_conv_2d_late_s8.h"

#include <string.h>

void thimble_depthwise_conv_2d_late_s8(const thimble_depthwise_conv_2d_late_s8_params *params,
                                       const thimble_rows *input, const int8_t *weights, const int32_t *bias,
                                       const int32_t *multipliers, const int8_t *shifts, uint8_t *scratch,
                                       const thimble_rows *output, int32_t first, int32_t end) {
    thimble_depthwise_conv_2d_s8_params pixel = *params; /* a row of one pixel: the next one of the output */
    pixel.window.output_width = 1;
    const size_t bytes = (size_t)params->output_channels;
    for (int32_t row = first; row < end; row++) {
        int8_t *out = thimble_row(output, row);
        const uint8_t *waiting = scratch;
        for (int32_t x = 0; x < params->window.output_width; x++) {
            const thimble_rows made = {.base = scratch + (x % 2) * params->output_channels};
            pixel.window.pad_left = params->window.pad_left - x * params->window.stride_width;
            thimble_depthwise_conv_2d_s8(&pixel, input, weights, bias, multipliers, shifts, &made, row, row + 1);
            if (x > 0) {
                memcpy(out, waiting, bytes);
                out += bytes;
            }
            waiting = thimble_row(&made, 0);
        }
        memcpy(out, waiting, bytes);
    }
}
