/* SPDX-License-Identifier: 0BSD */
/* Convolutions as matrix products: windows become columns, a few at a time. */
#ifndef THIMBLE_COLUMNS_DSP_H
#define THIMBLE_COLUMNS_DSP_H

#include <stdint.h>

#include "thimble_matmul_dsp.h"
#include "thimble_rows.h"
#include "thimble_window.h"

/* Most columns of one matrix product. */
#define THIMBLE_MAX_COLUMNS 16

/* Most columns behind groups of four that take less time one by one than as a group that repeats some. */
#define THIMBLE_MAX_TAILS 2

/* Highest window. */
#define THIMBLE_MAX_KERNEL_HEIGHT 16

/* Sizes in elements. */
typedef struct {
    int32_t input_channels;
    thimble_window window;
    int32_t output_channels; /* at least 2 */
    int32_t dilation_height;
    int32_t dilation_width;
    int32_t input_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t depth; /* kernel_height * kernel_width * input_channels, rounded up to a multiple of 4 */
    /* of one matrix product, at most THIMBLE_MAX_COLUMNS: groups of 4 and up to THIMBLE_MAX_TAILS more */
    int32_t columns;
    int32_t folded; /* whether weights are packed as 256 * w1 + w0 */
    int32_t shift;  /* the last shift of all channels, or 0: thimble_sums_form */
} thimble_columns_dsp_params;

/* What is the same for all products of a call; columns lie from `scratch` on. The caller says where outputs go. */
static inline thimble_matmul_job thimble_columns_job(const thimble_columns_dsp_params *p, const int32_t *packed,
                                                     uint32_t *scratch) {
    const uint32_t ceiling = (uint32_t)(255 - (p->output_max - p->output_min));
    const uint32_t offset = ((uint32_t)p->output_min - ceiling) & 0xFFu;
    const thimble_matmul_job job = {
        .panel = scratch,
        .weights = packed,
        .pair_bytes = 2 * p->depth + thimble_pair_constants_bytes(p->shift),
        .outputs = 0,
        .channels = p->output_channels,
        .ceiling = ceiling * 0x01010101u,
        .offset = offset * 0x01010101u,
        .spare = scratch + (2 * p->columns + 1) * p->depth / 4,
        .shift = p->shift,
    };
    return job;
}

/* Columns of the next product of `left` ones: one more, where a group of four is faster than those behind the last. */
static inline int32_t thimble_columns_portion(const thimble_columns_dsp_params *p, int32_t left) {
    const int32_t columns = left < p->columns ? left : p->columns;
    return columns % 4 > THIMBLE_MAX_TAILS ? (columns + 3) / 4 * 4 : columns;
}

/* Convolution, int8, as thimble_conv_2d_s8, with ungrouped channels: output rows [first, end).
 * All windows of some columns are read before any of their outputs is written, and columns come in order of the
 * output: so the output may lie over the input wherever that of thimble_conv_2d_s8 may.
 * packed   weights, bias and requantization of each pair of channels, see thimble_matmul_dsp.h
 * scratch  2 * columns * depth bytes for the columns, and depth bytes for one window */
void thimble_columns_dsp(const thimble_columns_dsp_params *params, thimble_matmul_function matmul,
                         const thimble_rows *input, const int32_t *packed, uint32_t *scratch,
                         const thimble_rows *output, int32_t first, int32_t end);

/* The same with less scratch: four columns at a time, one row of their windows after the other. Rows of windows are
 * whole words. All windows of four columns are read before any of their outputs is written.
 * scratch  8 bytes for each value of a row of a window, that row's bytes, 16 bytes for each output channel */
void thimble_partial_columns_dsp(const thimble_columns_dsp_params *params, thimble_partial_matmul_function matmul,
                                 const thimble_rows *input, const int32_t *packed, uint32_t *scratch,
                                 const thimble_rows *output, int32_t first, int32_t end);

#endif
