/* SPDX-License-Identifier: 0BSD */
/* Pointwise convolutions of any depth as matrix products: four pixels side by side, widened once. */
#ifndef THIMBLE_POINTWISE_DSP_H
#define THIMBLE_POINTWISE_DSP_H

#include <stdint.h>

#include "thimble_rows.h"
#include "thimble_sums_dsp.h"

/* Most output rows of one matrix product. */
#define THIMBLE_MAX_POINTWISE_ROWS 8

/* Sizes in elements. */
typedef struct {
    int32_t input_height;
    int32_t input_channels; /* at least 2 */
    int32_t stride_height;
    int32_t stride_width;
    int32_t output_height;
    int32_t output_width;    /* at least 4 */
    int32_t output_channels; /* at least 2 */
    int32_t output_min;
    int32_t output_max;
    int32_t pixels_at_once; /* of a row, and as many as are left in the end, but no fewer than 4 */
    int32_t rows_at_once;   /* 1 where a row is made in portions */
    int32_t flat;           /* whole tensors, whose pixels are one row: of calls for all rows */
    int32_t skipped_steps;  /* of the first turn of the inner loop */
} thimble_pointwise_dsp_params;

/* All channels of some output rows of one width; the generated assembly reads the fields in this order.
 * rows     (rows, ceil(pixels / 4), ceil(channels / 4), 2, 4): for each four channels of four pixels two words of each
 *          pixel, see thimble_sums_dsp.h; the last four pixels of a row may be some of those before
 * weights  a pair of channels: bias (2); (ceil(channels / 4), 2) words of four bytes; multipliers (2), or multiplier,
 *          addend and shift (2, 3), see thimble_sums_form
 * staged   pair_bytes, rounded up to 32: for the weights of one pair
 * outputs  where the rows are written */
typedef struct {
    const uint32_t *rows;
    const int32_t *weights;
    int32_t pair_bytes;
    uint32_t *staged;
    int8_t *const *outputs;
    int8_t *const *outputs_end;
    int32_t channels;   /* at least 2; the last pair of an odd number begins one channel earlier */
    uint32_t ceiling;   /* where output limits are inside int8, four times the same byte: 255 - (max - min) */
    uint32_t offset;    /* and min - ceiling */
    int32_t last_pixel; /* bytes of an output row before its last four pixels */
    int32_t skipped;    /* steps of the first turn */
} thimble_pointwise_job;

/* `pixels` of a row from `from` on as `rows` of the job hold them; returns the place behind them. */
typedef uint32_t *(*thimble_widen_pixels)(const thimble_pointwise_dsp_params *params, const int8_t *from,
                                          int32_t pixels, uint32_t *to);

uint32_t *thimble_widen_pixels_folded(const thimble_pointwise_dsp_params *params, const int8_t *from, int32_t pixels,
                                      uint32_t *to);
uint32_t *thimble_widen_pixels_plain(const thimble_pointwise_dsp_params *params, const int8_t *from, int32_t pixels,
                                     uint32_t *to);

typedef void (*thimble_pointwise_function)(const thimble_pointwise_job *job);

#if !defined(__ARM_FEATURE_DSP)
/* The portable twin of the generated functions, with the same bytes. */
void thimble_pointwise_portable(thimble_sums_form form, const thimble_pointwise_job *job);
#endif

/* Convolution, int8, as thimble_conv_2d_s8, with windows of one pixel and no borders: output rows [first, end).
 * All pixels of some rows, or of a part of one, are read before any of their outputs is written, and these come in
 * order: so the output may lie over the input wherever that of thimble_conv_2d_s8 may. `shift` and `widen_pixels` go
 * with how the function makes its sums: thimble_sums_form.
 * packed   weights, bias and requantization of each pair of channels, and up to 24 bytes that are read and not used
 * scratch  what `staged` and `rows` of the job need */
void thimble_pointwise_dsp(const thimble_pointwise_dsp_params *params, int32_t shift, thimble_widen_pixels widen_pixels,
                           thimble_pointwise_function function, const thimble_rows *input, const int32_t *packed,
                           uint32_t *scratch, const thimble_rows *output, int32_t first, int32_t end);

#endif
