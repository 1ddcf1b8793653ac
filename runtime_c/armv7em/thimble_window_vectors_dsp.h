/* SPDX-License-Identifier: 0BSD */
/* Convolutions as matrix products of one window at a time, which is read where it lies: no scratch. */
#ifndef THIMBLE_WINDOW_VECTORS_DSP_H
#define THIMBLE_WINDOW_VECTORS_DSP_H

#include <stdint.h>

#include "thimble_rows.h"
#include "thimble_sums_dsp.h"
#include "thimble_window.h"

/* Most runs of a window: each of at most five rows has a border to the left, an inside and a border to the right. */
#define THIMBLE_MAX_RUNS 15

/* Sizes in elements. */
typedef struct {
    int32_t input_channels; /* a multiple of 4 */
    thimble_window window;
    int32_t output_channels; /* at least 2 */
    int32_t output_min;
    int32_t output_max;
    int32_t depth;     /* kernel_height * kernel_width * input_channels */
    int32_t border_at; /* where in the packed words the border begins: zero points for one row of a window */
    int32_t folded;    /* how sums are made: thimble_sums_form */
    int32_t scale_bits;
    int32_t rounds_ties;
    int32_t block;            /* channels at a time; the last block may overlap the one before */
    int32_t shares_constants; /* whether all channels have one multiplier, addend and shift */
} thimble_window_vectors_dsp_params;

/* Neighbouring bytes of a window, whole words; the generated assembly reads both fields. */
typedef struct {
    const int8_t *from;
    const int8_t *end;
} thimble_run;

/* All channels of one pixel; the generated assembly reads the fields in this order.
 * runs      the window, (depth) in all
 * weights   a block of channels: biases (block); words of four bytes (depth / 4, block); unless shared, multiplier,
 *           addend and shift (block, 3) */
typedef struct {
    const thimble_run *runs;
    const int32_t *weights;
    const thimble_run *runs_end;
    int8_t *output;
    int32_t channels;
    const int32_t *constants; /* multiplier, addend, shift of all channels, where they share them */
    uint32_t ceiling;         /* where output limits are inside int8, four times the same byte: 255 - (max - min) */
    uint32_t offset;          /* and min - ceiling */
} thimble_window_vectors_job;

typedef void (*thimble_window_vectors_function)(const thimble_window_vectors_job *job);

/* Convolution, int8, as thimble_conv_2d_s8 without groups and dilation. A pixel is made before the next one is read,
 * its channels in order: so the output may lie over the input wherever that of thimble_conv_2d_s8 may.
 * input (rows, input_width, input_channels); output (rows, output_width, output_channels), of which rows [first, end)
 * are made; without DSP instructions a portable twin takes the place of `function`
 * packed   the shared constants, where they are, the weights of thimble_window_vectors_job, and the border */
void thimble_window_vectors_dsp(const thimble_window_vectors_dsp_params *params,
                                thimble_window_vectors_function function, const thimble_rows *input,
                                const int32_t *packed, const thimble_rows *output, int32_t first, int32_t end);

#endif
