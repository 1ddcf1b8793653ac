/* SPDX-License-Identifier: 0BSD */
#include "thimble_resize_nearest_neighbor.h"

#include <string.h>

void thimble_resize_nearest_neighbor(const thimble_resize_nearest_neighbor_params *params, const thimble_rows *input,
                                     const int16_t *rows, const int16_t *columns, const thimble_rows *output,
                                     int32_t first, int32_t end) {
    const thimble_resize_nearest_neighbor_params *p = params;
    for (int32_t row = first; row < end; row++) {
        const int32_t image = row / p->output_height;
        const uint8_t *in = thimble_row(input, image * p->input_height + rows[row - image * p->output_height]);
        uint8_t *out = thimble_row(output, row);
        for (int32_t x = 0; x < p->output_width; x++) {
            memcpy(out, in + columns[x] * p->pixel_bytes, (size_t)p->pixel_bytes);
            out += p->pixel_bytes;
        }
    }
}
