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
    int32_t row_bytes;   /* of a copy, a multiple of 4 */
    int32_t block_bytes; /* of the weights and constants of two channels */
} thimble_padded_rows_mve_params;

/* One output row.
 * rows    the copies of input rows under the kernel's rows
 * packed  a pair of channels: (steps, 2, 16) int8 weights; biases and multipliers (2, 2, 2) int32, each pair twice;
 *         shifts (2, 2) int8
 * output  (width, channels) */
typedef struct {
    const int8_t *rows[THIMBLE_MAX_PADDED_ROWS];
    const int8_t *packed;
    int32_t block_bytes;
    int8_t *output;
    int32_t width;
    int32_t channels;
    thimble_limits_mve limits;
} thimble_row_job_mve;

typedef void (*thimble_row_function_mve)(const thimble_row_job_mve *job);

/* Two channels of four pixels: the tail of every generated function. `sums` are those of two pixels each, `to` is the
 * first pixel's first channel; `offsets` are those of two channels of two pixels, which lie `pixel_bytes` apart. */
static inline void thimble_finish_pixels_mve(thimble_form_mve form, thimble_limits_mve limits, const int32x4_t sums[2],
                                             const int8_t *constants, uint32x4_t offsets, int32_t pixel_bytes,
                                             int8_t *to) {
    const int32_t *words = (const int32_t *)(const void *)constants;
    const int32x4_t bias = vldrwq_s32(words);
    const int32x4_t multipliers = vldrwq_s32(words + 4);
    const int32x4_t shifts = vldrbq_s32(constants + 32);
    const int32x4_t first = thimble_scale_mve(form, vaddq_s32(sums[0], bias), multipliers, shifts);
    const int32x4_t second = thimble_scale_mve(form, vaddq_s32(sums[1], bias), multipliers, shifts);
    const int16x8_t both = thimble_limit_mve(form, limits, thimble_join_mve(limits, first, second));
    const int32x4_t bytes = vreinterpretq_s32_s16(both);
    vstrbq_scatter_offset_s32(to, offsets, bytes);
    vstrbq_scatter_offset_s32(to + 2 * pixel_bytes, offsets, vshrq_n_s32(bytes, 16));
}

/* Convolution, int8, as thimble_conv_2d_s8 with ungrouped channels and no dilation: output rows [first, end). All input
 * rows of an output row are copied before it is written: so the output may lie over the input wherever that of
 * thimble_conv_2d_s8 may.
 * scratch  kernel_height copies of rows, and 16 bytes that are read and not used; aligned to 4 bytes */
void thimble_padded_rows_mve(const thimble_padded_rows_mve_params *params, thimble_row_function_mve function,
                             const thimble_rows *input, const int32_t *packed, int32_t *scratch,
                             const thimble_rows *output, int32_t first, int32_t end);

#endif
