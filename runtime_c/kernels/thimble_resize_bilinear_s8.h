/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_RESIZE_BILINEAR_S8_H
#define THIMBLE_RESIZE_BILINEAR_S8_H

#include <stdint.h>

#include "thimble_rows.h"

/* Sizes in elements. */
typedef struct {
    int32_t input_height;
    int32_t input_width;
    int32_t channels;
    int32_t output_height;
    int32_t output_width;
} thimble_resize_bilinear_s8_params;

/* Bilinear interpolation, rounded to nearest with halves away from zero.
 * input (batches, input_height, input_width, channels)
 * rows (output_height), columns (output_width): positions in the input with 10 fractional bits, inside of it
 * output (batches, output_height, output_width, channels); its rows must not overlap the input's; the call
 * computes rows [first, end) of batches * output_height */
void thimble_resize_bilinear_s8(const thimble_resize_bilinear_s8_params *params, const thimble_rows *input,
                                const int32_t *rows, const int32_t *columns, const thimble_rows *output, int32_t first,
                                int32_t end);

#endif
