/* SPDX-License-Identifier: 0BSD */
/* Depthwise convolutions straight from pixels, four channels at a time. */
#ifndef THIMBLE_PIXELS_DSP_H
#define THIMBLE_PIXELS_DSP_H

#include <stdint.h>

#include "thimble_dsp.h"
#include "thimble_rows.h"
#include "thimble_window.h"

/* Sizes in elements. */
typedef struct {
    thimble_window window;
    int32_t channels; /* at least 4 */
    int32_t input_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t groups;         /* of three taps: all of the kernel, the last ones without weight where it has fewer */
    int32_t pixels_at_once; /* output pixels for which the places of their taps are noted at once */
    int32_t quad_words;     /* packed words of four channels */
    int32_t total_shift;    /* last shift of all channels, or -1 where each channel has its own */
    int32_t scale_bits;     /* where each has: the sums' scale */
    int32_t rounds_ties;    /* where each has: whether halves below the zero point are rounded away from it */
    int32_t border_at;      /* where in the packed words a pixel of zero points lies, for thimble_pixels_in_place_dsp */
} thimble_pixels_dsp_params;

/* All channels of some output pixels; the generated assembly reads the fields in this order.
 * places   (pixels, 3 * groups + 1): the input pixel under each tap, then the output pixel: distances in bytes from
 * `base` packed   (ceil(channels / 4), quad_words): biases (4); for each tap weights of channels 0 and 2, and of 1 and
 * 3; multipliers and addends (4, 2); shifts (4) where each channel has its own channels the last four may be some of
 * the ones before again */
typedef struct {
    const int32_t *places;
    const int32_t *places_end;
    const int32_t *packed;
    int32_t quad_bytes;
    int8_t *base;
    int32_t channels;
    uint32_t ceiling; /* where output limits are inside int8, four times the same byte: 255 - (max - min) */
    uint32_t offset;  /* and min - ceiling */
} thimble_pixels_job;

typedef void (*thimble_pixels_function)(const thimble_pixels_job *job);

/* Depthwise convolution, int8, as thimble_depthwise_conv_2d_s8 with a multiplier and dilations of 1: output rows
 * [first, end). The first channels of some pixels are written before the last ones are read: the output must not lie
 * over the input. Without DSP instructions a portable twin takes the place of `function`.
 * scratch  pixels_at_once * (3 * groups + 1) words for places, and a pixel of channels bytes for borders */
void thimble_pixels_dsp(const thimble_pixels_dsp_params *params, thimble_pixels_function function,
                        const thimble_rows *input, const int32_t *packed, int32_t *scratch, const thimble_rows *output,
                        int32_t first, int32_t end);

/* The same with one pixel at once, of whole quads of channels: the output may lie over the input wherever that of the
 * plain kernel may.
 * places  3 * groups + 1 words
 * late    (2, channels), where each pixel of a row is to be written only when the next one is made; else null */
void thimble_pixels_in_place_dsp(const thimble_pixels_dsp_params *params, thimble_pixels_function function,
                                 const thimble_rows *input, const int32_t *packed, int32_t *places, uint8_t *late,
                                 const thimble_rows *output, int32_t first, int32_t end);

#endif
