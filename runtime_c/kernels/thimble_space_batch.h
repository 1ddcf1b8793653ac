/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_SPACE_BATCH_H
#define THIMBLE_SPACE_BATCH_H

#include <stdint.h>

typedef struct {
    int32_t to_batch; /* 1: the input is the space side; 0: the output is */
    int32_t batches;  /* of the space side */
    int32_t height;
    int32_t width;
    int32_t pixel_bytes;
    int32_t top; /* rows and columns by which the space side lies inside of its blocks */
    int32_t left;
    int32_t block_height;
    int32_t block_width;
    int32_t grid_height; /* of the batch side, in blocks */
    int32_t grid_width;
} thimble_space_batch_params;

/* Moves pixels between an image in blocks and one batch for each place in the block.
 * space side (batches, height, width) pixels
 * batch side (block_height, block_width, batches, grid_height, grid_width) pixels
 * Pixels of the output that have no counterpart are left as they are. Output must not overlap the input. */
void thimble_space_batch(const thimble_space_batch_params *params, const void *input, void *output);

#endif
