/* SPDX-License-Identifier: 0BSD */
/* Depthwise convolutions of images one pixel wide, such as steps in time: four channels at a time, without scratch. */
#ifndef THIMBLE_STEPS_DSP_H
#define THIMBLE_STEPS_DSP_H

#include <stdint.h>

#include "thimble_dsp.h"
#include "thimble_rows.h"
#include "thimble_window.h"

/* Most taps of a kernel. */
#define THIMBLE_MAX_STEPS 16

/* Sizes in elements. */
typedef struct {
    thimble_window window; /* one pixel wide; all windows lie inside of the input */
    int32_t channels;      /* a multiple of 4 */
    int32_t output_min;
    int32_t output_max;
    int32_t quad_words;  /* packed words of four channels */
    int32_t rounds_ties; /* whether halves below the zero point are rounded away from it */
} thimble_steps_dsp_params;

/* All channels of an output step; the generated assembly reads the fields in this order.
 * packed  (channels / 4, quad_words): biases (4); for each two taps of a multiple of four bytes (channels / 2, tap,
 *         channel), zeros behind the last tap; multiplier, addend and shift (4, 3)
 * places  the input step under each tap; behind the last of an odd number any of them
 * output  where the channels go, and where they end */
typedef struct {
    const int32_t *packed;
    const int8_t *const *places;
    int8_t *output;
    int8_t *output_end;
    uint32_t ceiling; /* where output limits are inside int8, four times the same byte: 255 - (max - min) */
    uint32_t offset;  /* and min - ceiling */
} thimble_steps_job;

typedef void (*thimble_steps_function)(const thimble_steps_job *job);

/* Depthwise convolution, int8, as thimble_depthwise_conv_2d_s8 with a multiplier and dilations of 1: output rows
 * [first, end). Channels of an output are made in order, four at a time: so the output may lie over the input wherever
 * that of the plain kernel may. Without DSP instructions a portable twin takes the place of `function`. */
void thimble_steps_dsp(const thimble_steps_dsp_params *params, thimble_steps_function function,
                       const thimble_rows *input, const int32_t *packed, const thimble_rows *output, int32_t first,
                       int32_t end);

#endif
