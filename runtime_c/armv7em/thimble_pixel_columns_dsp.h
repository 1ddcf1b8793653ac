/* SPDX-License-Identifier: 0BSD */
/* Pointwise convolutions by rows as matrix products of columns: pixels, a few at a time. */
#ifndef THIMBLE_PIXEL_COLUMNS_DSP_H
#define THIMBLE_PIXEL_COLUMNS_DSP_H

#include "thimble_columns_dsp.h"

/* Some pixels of `depth` channels as the columns of a product: groups of four, and those behind the last one. */
typedef void (*thimble_widen_columns)(const int8_t *const *pixels, int32_t columns, int32_t depth, uint32_t *to);

void thimble_widen_columns_folded(const int8_t *const *pixels, int32_t columns, int32_t depth, uint32_t *to);
void thimble_widen_columns_plain(const int8_t *const *pixels, int32_t columns, int32_t depth, uint32_t *to);

/* As thimble_columns_dsp, for windows of one pixel inside of the image, of a multiple of four channels. `widen_columns`
 * goes with how weights are packed. */
void thimble_pixel_columns_dsp(const thimble_columns_dsp_params *params, thimble_matmul_function matmul,
                               thimble_widen_columns widen_columns, const thimble_rows *input, const int32_t *packed,
                               uint32_t *scratch, const thimble_rows *output, int32_t first, int32_t end);

#endif
