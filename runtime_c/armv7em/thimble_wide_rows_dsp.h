/* SPDX-License-Identifier: 0BSD */
/* Dense convolutions as matrix products straight from rows that are widened once. */
#ifndef THIMBLE_WIDE_ROWS_DSP_H
#define THIMBLE_WIDE_ROWS_DSP_H

#include <stdint.h>

#include "thimble_rows.h"
#include "thimble_sums_dsp.h"

/* Most output rows of one matrix product. */
#define THIMBLE_MAX_WIDE_ROWS 8

/* Sizes in elements. */
typedef struct {
    int32_t input_height;
    int32_t input_width;
    int32_t input_channels; /* at least 2; rounded up to a multiple of 4 in widened rows */
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t stride_height;
    int32_t stride_width;
    int32_t pad_top;
    int32_t pad_left;
    int32_t output_height;
    int32_t output_width;    /* at least 4 */
    int32_t output_channels; /* at least 2 */
    int32_t input_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t row_pixels;   /* of a widened row, borders included */
    int32_t rows_at_once; /* output rows of one matrix product */
    int32_t row_steps;    /* words of four weights in a row of a window, with those that fill the loop's last turn */
    int32_t folded;       /* how sums are made: thimble_sums_form */
    int32_t scale_bits;
    int32_t rounds_ties;
    int32_t shift;
    int32_t max_tails; /* most pixels behind the last four that `function` makes one by one */
} thimble_wide_rows_dsp_params;

/* Fewest pixels of an output row. */
#define THIMBLE_MIN_PIXELS 4

/* All channels of some output rows; the generated assembly reads the fields in this order.
 * rows     (rows, row_pixels, channels / 4, 2): two words for each four channels of a pixel, see thimble_sums_dsp.h
 * weights  a pair of channels: bias (2); (kernel_height, row_steps, 2) words of four bytes, the last ones 0;
 *          multipliers (2), or multiplier, addend and shift (2, 3), see thimble_sums_form
 * staged   pair_bytes, rounded up to 32: for the weights of one pair
 * outputs  where the rows are written */
typedef struct {
    const uint32_t *rows;
    const int32_t *weights;
    int32_t pair_bytes;
    uint32_t *staged;
    int8_t *const *outputs;
    int8_t *const *outputs_end;
    int32_t channels;    /* at least 2; the last pair of an odd number begins one channel earlier */
    uint32_t ceiling;    /* where output limits are inside int8, four times the same byte: 255 - (max - min) */
    uint32_t offset;     /* and min - ceiling */
    int32_t last_column; /* bytes of a widened row before its last four windows */
    int32_t last_pixel;  /* bytes of an output row before its last four pixels */
    int32_t tails;       /* pixels behind these, made one by one */
    const thimble_wide_rows_dsp_params *params; /* for the portable twin; assembly does not read it */
} thimble_row_matmul_job;

typedef void (*thimble_row_matmul_function)(const thimble_row_matmul_job *job);

/* What all matrix products of a call share; the widened rows come behind the weights of one pair, whose number of bytes
 * is rounded up to 32. */
thimble_row_matmul_job thimble_make_row_matmul_job(const thimble_wide_rows_dsp_params *params, const int32_t *packed,
                                                   uint32_t *scratch);

/* Pixels that lie one behind the other to two words for each four channels. */
void thimble_widen_pixels_dsp(const thimble_wide_rows_dsp_params *params, const int8_t *from, uint32_t *to,
                              int32_t pixels);

/* One row of `pixels` from `rows` of the job to `to`. */
void thimble_run_flat_row(const thimble_wide_rows_dsp_params *params, thimble_row_matmul_function function,
                          thimble_row_matmul_job *job, int32_t pixels, int8_t *to);

#if !defined(__ARM_FEATURE_DSP)
/* The portable twin of the generated functions, with the same bytes. */
void thimble_row_matmul_portable(const thimble_row_matmul_job *job);
#endif

/* Convolution, int8, as thimble_conv_2d_s8, with ungrouped channels and no dilation: output rows [first, end).
 * All input rows of some output rows are read before any of these is written: so the output may lie over the input
 * wherever that of thimble_conv_2d_s8 may.
 * packed   weights, bias and requantization of each pair of channels, and up to 24 bytes that are read and not used
 * scratch  what `staged` and `rows` of the job need */
void thimble_wide_rows_dsp(const thimble_wide_rows_dsp_params *params, thimble_row_matmul_function function,
                           const thimble_rows *input, const int32_t *packed, uint32_t *scratch,
                           const thimble_rows *output, int32_t first, int32_t end);

/* The same for pointwise convolutions of stride 1 on whole tensors, whose rows lie one behind the other: all pixels are
 * one row of output_height * output_width, made in portions of row_pixels; the last one may have less, but no less than
 * THIMBLE_MIN_PIXELS. */
void thimble_flat_pixels_dsp(const thimble_wide_rows_dsp_params *params, thimble_row_matmul_function function,
                             const thimble_rows *input, const int32_t *packed, uint32_t *scratch,
                             const thimble_rows *output);

#endif
