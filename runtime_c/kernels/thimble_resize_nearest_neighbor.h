/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_RESIZE_NEAREST_NEIGHBOR_H
#define THIMBLE_RESIZE_NEAREST_NEIGHBOR_H

#include <stdint.h>

#include "thimble_rows.h"

/* Sizes in pixels of pixel_bytes bytes. */
typedef struct {
    int32_t input_height;
    int32_t input_width;
    int32_t pixel_bytes;
    int32_t output_height;
    int32_t output_width;
} thimble_resize_nearest_neighbor_params;

/* Each output pixel is a copy of one input pixel.
 * input (batches, input_height, input_width) pixels
 * rows (output_height), columns (output_width): which row and column to take
 * output (batches, output_height, output_width) pixels; its rows must not overlap the input's; the call
 * computes rows [first, end) of batches * output_height */
void thimble_resize_nearest_neighbor(const thimble_resize_nearest_neighbor_params *params, const thimble_rows *input,
                                     const int16_t *rows, const int16_t *columns, const thimble_rows *output,
                                     int32_t first, int32_t end);

#endif
