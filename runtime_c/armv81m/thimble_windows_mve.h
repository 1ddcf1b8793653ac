/* SPDX-License-Identifier: 0BSD */
/* Convolutions as products of weights with two windows at a time, which are read where they lie in the input. */
#ifndef THIMBLE_WINDOWS_MVE_H
#define THIMBLE_WINDOWS_MVE_H

#include <stdint.h>

#include "thimble_requantize_mve.h"
#include "thimble_rows.h"
#include "thimble_window.h"

/* Most segments of a window: what the places of two windows take of the stack. */
#define THIMBLE_MAX_SEGMENTS 24

/* Most rows of a kernel. */
#define THIMBLE_MAX_WINDOW_ROWS 64

/* Sizes in elements. A window is `row_parts` segments for each row of the kernel, or one segment where it is copied;
 * each is a multiple of 16 bytes long, those of a row lie one behind the other. What a segment holds behind a row of
 * the window meets weights of 0. */
typedef struct {
    int32_t input_channels;
    int32_t output_channels;
    thimble_window window;
    int32_t dilation_height;
    int32_t dilation_width;
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t segment_bytes;
    int32_t turns;        /* of the loop over a long segment */
    int32_t row_parts;    /* 0: all windows are copied */
    int32_t inside_begin; /* output columns [inside_begin, inside_end): their segments lie inside of input rows */
    int32_t inside_end;
} thimble_windows_mve_params;

/* The segments of two windows; the generated assembly reads them in this order. */
typedef struct {
    const int8_t *place[2];
} thimble_segment_mve;

/* Two output pixels.
 * segments  (segments)
 * weights   four channels: (steps, 4, 16) int8 weights; biases and multipliers (2, 4) int32; shifts (4) int8
 * outputs   for each pixel, 4 * blocks bytes */
typedef struct {
    const thimble_segment_mve *segments;
    const int8_t *weights;
    int32_t turns;
    int32_t blocks; /* of four channels */
    int8_t *outputs[2];
    thimble_limits_mve limits;
} thimble_pair_job_mve;

typedef void (*thimble_pair_function_mve)(const thimble_pair_job_mve *job);

/* Four channels of both pixels: the tail of every generated function; returns the weights of the next channels. */
static inline const int8_t *thimble_finish_pair_mve(thimble_form_mve form, const thimble_pair_job_mve *job,
                                                    const int32x4_t sums[2], const int8_t *constants, int32_t offset) {
    const int32_t *words = (const int32_t *)(const void *)constants;
    const int32x4_t bias = vldrwq_s32(words);
    const int32x4_t multipliers = vldrwq_s32(words + 4);
    const int32x4_t shifts = vldrbq_s32(constants + 32);
    const int32x4_t first = thimble_scale_mve(form, vaddq_s32(sums[0], bias), multipliers, shifts);
    const int32x4_t second = thimble_scale_mve(form, vaddq_s32(sums[1], bias), multipliers, shifts);
    const int16x8_t both = thimble_limit_mve(form, job->limits, thimble_join_mve(job->limits, first, second));
    const int32x4_t bytes = vreinterpretq_s32_s16(both);
    vstrbq_s32(job->outputs[0] + offset, bytes);
    vstrbq_s32(job->outputs[1] + offset, vshrq_n_s32(bytes, 16));
    return constants + 36;
}

/* Convolution, int8, as thimble_conv_2d_s8 with ungrouped channels: output rows [first, end). Two windows are read
 * before either of their pixels is written: so the output may lie over the input wherever that of thimble_conv_2d_s8
 * may. packed   weights and requantization of each four channels scratch  outputs of two pixels, a segment row of zero
 * points, two windows and 16 bytes */
void thimble_windows_mve(const thimble_windows_mve_params *params, thimble_pair_function_mve function,
                         const thimble_rows *input, const int32_t *packed, int8_t *scratch, const thimble_rows *output,
                         int32_t first, int32_t end);

#endif
