/* SPDX-License-Identifier: 0BSD */
/* 3x3 convolutions of stride 1 by Winograd's F(4x4, 3x3), exact modulo 2^32: the generator's winograd.py says how. */
#ifndef THIMBLE_WINOGRAD_DSP_H
#define THIMBLE_WINOGRAD_DSP_H

#include <stdint.h>

#include "thimble_rows.h"
#include "thimble_sums_dsp.h"

/* Places of a transformed tile. */
#define THIMBLE_WINOGRAD_POSITIONS 36

/* Sizes in elements. */
typedef struct {
    int32_t input_height;
    int32_t input_width;
    int32_t input_channels; /* a multiple of 4 */
    int32_t pad_top;
    int32_t pad_left;
    int32_t output_height;
    int32_t output_width;    /* at least 4 */
    int32_t output_channels; /* at least 2 */
    int32_t input_zero_point;
    int32_t tiles;     /* in a batch: those of tile_rows rows of tiles, rounded up to a multiple of 4 */
    int32_t tile_rows; /* rows of tiles in a batch */
    int32_t rounds_ties;
} thimble_winograd_dsp_params;

/* Two output channels of one row of tiles; the generated assembly reads the fields in this order.
 * products     (tiles, 2, 36)
 * output       the first tile's first pixel, at the first of the two channels
 * last_output  the last tile's, which may overlap the one before
 * constants    bias, multiplier, addend and shift (2, 4)
 * rows         of the tiles that there are: up to 4 */
typedef struct {
    const int32_t *products;
    int8_t *output;
    int8_t *last_output;
    const int32_t *constants;
    int32_t rows;
} thimble_winograd_output_job;

/* The generated functions, all null for their portable twins.
 * input     one tile: window (6, output_width + 2, channels) bytes with 128 added -> inputs (36, tiles, channels / 2)
 * products  two output channels: inputs, weights (36, channels / 2, 2) -> products (tiles, 2, 36)
 * output    products -> int8 */
typedef struct {
    void (*input)(const uint32_t *window, uint32_t *inputs);
    void (*products)(const uint32_t *inputs, const int32_t *weights, int32_t *products);
    void (*output)(const thimble_winograd_output_job *job);
} thimble_winograd_functions;

/* Convolution, int8, as thimble_conv_2d_s8, 3x3 with stride 1, ungrouped, the output limits those of int8: output rows
 * [first, end) of tensors whose rows lie one behind the other. All input rows of a batch of tiles are read before any
 * of its outputs is written, and batches are whole output rows in order: so the output may lie over the input wherever
 * that of thimble_conv_2d_s8 may. packed   a pair of channels: weights (36, channels / 2, 2), words of two; bias,
 * multiplier, addend and shift (2, 4) scratch  inputs (36, tiles, channels) int16; products (tiles, 2, 36) int32;
 * (6, output_width + 2, channels) bytes */
void thimble_winograd_dsp(const thimble_winograd_dsp_params *params, thimble_winograd_functions functions,
                          const thimble_rows *input, const int32_t *packed, uint32_t *scratch,
                          const thimble_rows *output, int32_t first, int32_t end);

#endif
