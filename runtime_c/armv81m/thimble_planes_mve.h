/* SPDX-License-Identifier: 0BSD */
/* Depthwise convolutions over planes of bytes, in which all taps of a window lie one behind the other. */
#ifndef THIMBLE_PLANES_MVE_H
#define THIMBLE_PLANES_MVE_H

#include <stdint.h>

#include "thimble_requantize_mve.h"
#include "thimble_rows.h"

/* Sizes in elements.
 * A plane holds one channel of the input rows under some output rows: for each column, borders included, `column_bytes`
 * bytes of one row each. Kernels of one row have columns of one byte; else they are whole words. */
typedef struct {
    int32_t input_height;
    int32_t input_width;
    int32_t kernel_height;
    int32_t stride_height;
    int32_t pad_top;
    int32_t pad_left;
    int32_t output_height;
    int32_t output_width;
    int32_t channels;
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t column_bytes; /* 1, or a multiple of 4 */
    int32_t columns;      /* of a plane */
    int32_t plane_bytes;  /* a multiple of 4 */
    int32_t rows_at_once; /* output rows under which one filling of the planes lies */
    int32_t channels_at_once;
    int32_t channel_bytes; /* of packed weights and constants */
    int32_t transposed;    /* whether rows are the columns of the tensors: whole tensors only */
} thimble_planes_mve_params;

/* One output row of some channels.
 * planes   (channels, plane_bytes); of each, the window of the first output begins at byte 0
 * packed   (channels, channel_bytes): (steps, 16) int8 weights; bias, multiplier, shift int32
 * output   the first channel of the row's first pixel; the next pixel lies pixel_bytes behind it */
typedef struct {
    const int8_t *planes;
    int32_t plane_bytes;
    const int8_t *packed;
    int32_t channel_bytes;
    int8_t *output;
    int32_t pixel_bytes;
    int32_t width;
    int32_t channels;
    int32_t row; /* of those of one filling: by how many bytes the weights are moved on */
    int32_t zero_point;
    int32_t low;
    int32_t high;
} thimble_planes_job_mve;

typedef void (*thimble_planes_function_mve)(const thimble_planes_job_mve *job);

/* Depthwise convolution, int8, as thimble_depthwise_conv_2d_s8 with a multiplier and dilations of 1: output rows
 * [first, end). All input rows of some output rows are read before any of these is written: so with all channels at
 * once the output may lie over the input wherever that of thimble_depthwise_conv_2d_s8 may; else it must not. scratch
 * planes of channels_at_once channels, rounded up to 4, and 64 bytes behind them; 64 bytes; zero points for a pixel and
 * 16 bytes. Aligned to 4 bytes. */
void thimble_planes_mve(const thimble_planes_mve_params *params, thimble_planes_function_mve function,
                        const thimble_rows *input, const int32_t *packed, int32_t *scratch, const thimble_rows *output,
                        int32_t first, int32_t end);

#endif
