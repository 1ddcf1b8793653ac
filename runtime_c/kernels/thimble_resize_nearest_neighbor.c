/* SPDX-License-Identifier: 0BSD */
#include "thimble_resize_nearest_neighbor.h"

#include <string.h>

void thimble_resize_nearest_neighbor(const thimble_resize_nearest_neighbor_params *params, const void *input,
                                     const int16_t *rows, const int16_t *columns, void *output) {
    const thimble_resize_nearest_neighbor_params *p = params;
    const int32_t row_bytes = p->input_width * p->pixel_bytes;
    const uint8_t *from = (const uint8_t *)input;
    uint8_t *to = (uint8_t *)output;
    for (int32_t b = 0; b < p->batches; b++) {
        for (int32_t y = 0; y < p->output_height; y++) {
            const uint8_t *row = from + rows[y] * row_bytes;
            for (int32_t x = 0; x < p->output_width; x++) {
                memcpy(to, row + columns[x] * p->pixel_bytes, (size_t)p->pixel_bytes);
                to += p->pixel_bytes;
            }
        }
        from += p->input_height * row_bytes;
    }
}
