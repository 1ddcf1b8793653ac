/* SPDX-License-Identifier: 0BSD */
/* Dense convolutions over copies of input rows with their borders: windows of neighbouring pixels share what is loaded.
 */
#ifndef THIMBLE_PADDED_ROWS_MVE_H
#define THIMBLE_PADDED_ROWS_MVE_H

#include <stdint.h>

#include "thimble_requantize_mve.h"
#include "thimble_rows.h"

/* Most rows of a kernel: their places wait on the stack. */
#define THIMBLE_MAX_PADDED_ROWS 16

/* Sizes in elements. */
typedef struct {
    int32_t input_height;
    int32_t input_width;
    int32_t input_channels;
    int32_t kernel_height; /* at most THIMBLE_MAX_PADDED_ROWS */
    int32_t stride_height;
    int32_t pad_top;
    int32_t pad_left;
    int32_t output_height;
    int32_t output_width;    /* at least 4 */
    int32_t output_channels; /* at least 2 */
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t row_bytes; /* of a copy, a multiple of 4 */
    int32_t portion;   /* output pixels at once */
} thimble_padded_rows_mve_params;

/* One output row; the generated assembly knows where the fields lie, and moves `rows` on.
 * rows    the copies of input rows under the kernel's rows
 * packed  a pair of channels: (steps, 2, 16) int8 weights; biases and multipliers (2, 2, 2) int32, each pair twice;
 *         shifts (2, 2) int8
 * output  (width, channels) */
typedef struct {
    const int8_t *rows[THIMBLE_MAX_PADDED_ROWS];
    int32_t zero_point;
    int32_t pair_bytes; /* two output pixels */
    int16_t low[8];
    int16_t high[8];
    const int8_t *packed;
    int8_t *output;
    int32_t width;
    int32_t channels;
} thimble_row_job_mve;

typedef void (*thimble_row_function_mve)(thimble_row_job_mve *job);

/* Convolution, int8, as thimble_conv_2d_s8 with ungrouped channels and no dilation: output rows [first, end). All input
 * rows of an output row are copied before it is written: so the output may lie over the input wherever that of
 * thimble_conv_2d_s8 may.
 * scratch  kernel_height copies of rows, and 16 bytes that are read and not used; aligned to 4 bytes */
void thimble_padded_rows_mve(const thimble_padded_rows_mve_params *params, thimble_row_function_mve function,
                             const thimble_rows *input, const int32_t *packed, int32_t *scratch,
                             const thimble_rows *output, int32_t first, int32_t end);

/* The same for pointwise convolutions of stride 1 on whole tensors, whose rows lie one behind the other: all pixels are
 * one row of output_width, made in portions; the last one may have less, but no less than 4. */
void thimble_flat_pixels_mve(const thimble_padded_rows_mve_params *params, thimble_row_function_mve function,
                             const thimble_rows *input, const int32_t *packed, int32_t *scratch,
                             const thimble_rows *output);

#endif
