/* SPDX-License-Identifier: 0BSD */
#include "thimble_space_batch.h"

#include <string.h>

/* Offset in bytes, on the batch side, of the pixel at (y, x) in the blocks of batch n. */
static int32_t batch_side_offset(const thimble_space_batch_params *p, int32_t n, int32_t y, int32_t x) {
    const int32_t place = (y % p->block_height) * p->block_width + x % p->block_width;
    const int32_t pixel = (y / p->block_height) * p->grid_width + x / p->block_width;
    return ((place * p->batches + n) * p->grid_height * p->grid_width + pixel) * p->pixel_bytes;
}

void thimble_space_batch(const thimble_space_batch_params *params, const void *input, void *output) {
    const thimble_space_batch_params *p = params;
    const uint8_t *in = (const uint8_t *)input;
    uint8_t *out = (uint8_t *)output;
    int32_t offset = 0;
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t y = 0; y < p->height; y++) {
            for (int32_t x = 0; x < p->width; x++) {
                const int32_t there = batch_side_offset(p, n, y + p->top, x + p->left);
                if (p->to_batch != 0) {
                    memcpy(out + there, in + offset, (size_t)p->pixel_bytes);
                } else {
                    memcpy(out + offset, in + there, (size_t)p->pixel_bytes);
                }
                offset += p->pixel_bytes;
            }
        }
    }
}
