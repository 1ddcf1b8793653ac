/* SPDX-License-Identifier: 0BSD */
/* Depthwise 3x3 convolutions straight from rows, one channel at a time, without scratch. */
#ifndef THIMBLE_DIRECT_ROWS_DSP_H
#define THIMBLE_DIRECT_ROWS_DSP_H

#include <stdint.h>

#include "thimble_dsp.h"
#include "thimble_rows.h"
#include "thimble_window.h"

/* Most output rows that are made from weights that are read once. */
#define THIMBLE_MAX_DIRECT_ROWS 12

/* Sums are scaled by 2 to the power of this. */
#define THIMBLE_DIRECT_SCALE_BITS 8

/* Rows of a window that lie above and below the image. */
#define THIMBLE_DIRECT_ABOVE 1u
#define THIMBLE_DIRECT_BELOW 2u

/* Sizes in elements. */
typedef struct {
    thimble_window window; /* 3x3, its middle row inside of the image */
    int32_t channels;
    int32_t input_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t rows_at_once;  /* output rows that are made channel by channel, at most THIMBLE_MAX_DIRECT_ROWS */
    int32_t channel_words; /* packed words of a channel */
    int32_t total_shift;   /* last shift of all channels, which then have no addend; or -1 */
    int32_t rounds_ties;   /* where each has its own: whether halves below the zero point are rounded away from it */
} thimble_direct_rows_dsp_params;

/* The input rows under an output row, any readable row in place of one outside of the image, and the output row. */
typedef struct {
    const int8_t *inputs[3];
    int8_t *output;
} thimble_direct_line;

/* All channels of some output rows; the generated assembly reads the fields in this order.
 * packed  (channels, channel_words): nine weights as bytes, see thimble_direct_rows_dsp.c; in words 3 and on bias,
 *         multiplier and, where each channel has its own shift, addend and shift
 * lines   one for each output row */
typedef struct {
    const int32_t *packed;
    const thimble_direct_line *lines;
    const thimble_direct_line *lines_end;
    int32_t channels;
    uint32_t zeros;   /* the input's zero point in both lanes */
    uint32_t borders; /* THIMBLE_DIRECT_ABOVE, THIMBLE_DIRECT_BELOW: of all of these output rows */
    uint32_t ceiling; /* where output limits are inside int8, four times the same byte: 255 - (max - min) */
    uint32_t offset;  /* and min - ceiling */
} thimble_direct_rows_job;

typedef void (*thimble_direct_rows_function)(const thimble_direct_rows_job *job);

/* Depthwise convolution, int8, as thimble_depthwise_conv_2d_s8 with a multiplier and dilations of 1: output rows
 * [first, end). Input rows are read for one channel after the other: the output must not lie over the input rows of the
 * same rows_at_once output rows. Without DSP instructions a portable twin takes the place of `function`. */
void thimble_direct_rows_dsp(const thimble_direct_rows_dsp_params *params, thimble_direct_rows_function function,
                             const thimble_rows *input, const int32_t *packed, const thimble_rows *output,
                             int32_t first, int32_t end);

#endif
