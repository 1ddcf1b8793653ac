/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_POOL_2D_PACKED_H
#define THIMBLE_POOL_2D_PACKED_H

#include <stdint.h>

#include "thimble_common.h"
#include "thimble_packed.h"
#include "thimble_pool_2d.h"
#include "thimble_rows.h"

typedef thimble_pool_2d_params thimble_max_pool_2d_packed_params;
typedef thimble_pool_2d_params thimble_average_pool_2d_packed_params;

/* The maximum or the mean, halves away from zero, of one channel over a window inside of the image that begins at row
 * `image`. */
static inline int32_t thimble_pool_2d_packed_value(const thimble_pool_2d_params *p, const thimble_rows *input,
                                                   int32_t image, thimble_span rows, thimble_span columns,
                                                   int32_t channel, int bits, int average) {
    const int32_t pixel_bytes = thimble_packed_bytes(p->channels, bits);
    const int32_t count = (rows.end - rows.begin) * (columns.end - columns.begin);
    int32_t sum = 0;
    int32_t max = INT8_MIN;
    for (int32_t y = rows.begin; y < rows.end; y++) {
        const uint8_t *pixel = (const uint8_t *)thimble_row(input, image + y) + columns.begin * pixel_bytes;
        for (int32_t x = columns.begin; x < columns.end; x++) {
            const int32_t value = thimble_packed_get(pixel, channel, bits);
            sum += value;
            max = value > max ? value : max;
            pixel += pixel_bytes;
        }
    }
    return average ? thimble_rounded_mean(sum, count) : max;
}

/* A pool over elements of 2 or 4 bits.
 * input (batches, input_height, input_width, channels), output (batches, output_height, output_width, channels), each
 * pixel from a byte on; the call computes rows [first, end) of batches * output_height */
static inline void thimble_pool_2d_packed(const thimble_pool_2d_params *params, const thimble_rows *input,
                                          const thimble_rows *output, int32_t first, int32_t end, int bits,
                                          int average) {
    const thimble_pool_2d_params *p = params;
    for (int32_t row = first; row < end; row++) {
        const int32_t image = thimble_image(p->window, row);
        const thimble_span rows = thimble_row_span(p->window, row);
        thimble_packed_writer out = {thimble_row(output, row), 0, 0};
        for (int32_t x = 0; x < p->window.output_width; x++) {
            const thimble_span columns = thimble_column_span(p->window, x);
            for (int32_t c = 0; c < p->channels; c++) {
                const int32_t value = thimble_pool_2d_packed_value(p, input, image, rows, columns, c, bits, average);
                thimble_packed_put(&out, thimble_clamp(value, p->output_min, p->output_max), bits);
            }
            thimble_packed_end(&out);
        }
    }
}

static inline void thimble_max_pool_2d_packed(const thimble_pool_2d_params *params, const thimble_rows *input,
                                              const thimble_rows *output, int32_t first, int32_t end, int bits) {
    thimble_pool_2d_packed(params, input, output, first, end, bits, 0);
}

static inline void thimble_average_pool_2d_packed(const thimble_pool_2d_params *params, const thimble_rows *input,
                                                  const thimble_rows *output, int32_t first, int32_t end, int bits) {
    thimble_pool_2d_packed(params, input, output, first, end, bits, 1);
}

#endif
