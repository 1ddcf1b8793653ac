/* SPDX-License-Identifier: 0BSD */
#include "thimble_window_late_vectors_dsp.h"

#include "thimble_late.h"

void thimble_window_late_vectors_dsp(const thimble_window_vectors_dsp_params *params,
                                     thimble_window_vectors_function function, const thimble_rows *input,
                                     const int32_t *packed, uint8_t *pixels, const thimble_rows *output, int32_t first,
                                     int32_t end) {
    thimble_window_vectors_dsp_params pixel = *params; /* a row of one pixel: the next one of the output */
    pixel.window.output_width = 1;
    const int32_t width = params->window.output_width, bytes = params->output_channels;
    for (int32_t row = first; row < end; row++) {
        int8_t *out = thimble_row(output, row);
        for (int32_t x = 0; x < width; x++) {
            const thimble_rows made = {.base = (uint8_t *)thimble_late_pixel(pixels, x, bytes)};
            pixel.window.pad_left = params->window.pad_left - x * params->window.stride_width;
            thimble_window_vectors_dsp(&pixel, function, input, packed, &made, row, row + 1);
            thimble_late_write(out, pixels, x, bytes);
        }
        thimble_late_write(out, pixels, width, bytes);
    }
}
