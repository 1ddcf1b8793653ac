/* SPDX-License-Identifier: 0BSD */
/* Depthwise convolutions along planes: some rows of all channels, one channel behind the other, as int16. */
#ifndef THIMBLE_PLANES_DSP_H
#define THIMBLE_PLANES_DSP_H

#include <stdint.h>

#include "thimble_dsp.h"
#include "thimble_rows.h"

/* Sizes in elements. */
typedef struct {
    int32_t input_height;
    int32_t input_width;
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t stride; /* of both axes */
    int32_t pad_top;
    int32_t pad_left;
    int32_t output_height;
    int32_t output_width;
    int32_t channels;
    int32_t input_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t row_words;     /* words of two elements in a plane's row, borders included */
    int32_t packed_height; /* the kernel as it is packed: its own size, or a long row cut into shorter ones, */
    int32_t packed_width;
    int32_t packed_pitch;     /* and the words from the data of one such row to that of the next */
    int32_t rows_at_once;     /* output rows that are made from one filling of the planes */
    int32_t channels_at_once; /* channels of the planes: all, or a multiple of 4 below */
    int32_t channel_words;    /* packed words of a channel */
    int32_t total_shift;      /* last shift of all channels, or -1 where each channel has its own */
    int32_t scale_bits;       /* where each has: the sums' scale */
    int32_t rounds_ties;      /* where each has: whether halves below the zero point are rounded away from it */
} thimble_planes_dsp_params;

/* The planes' channels of some output rows; the generated assembly reads the fields in this order.
 * planes   (channels_at_once, rows, row_words) pairs of elements, the first one under the first tap of the first output
 * packed   (channels, channel_words): for each kernel row words of two weights, word i taps i and i + 1; then bias,
 *          multiplier, addend and, where each channel has its own, shift
 * outputs  where the first of these channels is written in each row
 * channels those of the planes */
typedef struct {
    const uint32_t *planes;
    const int32_t *packed;
    int32_t plane_bytes;
    int8_t *const *outputs;
    int8_t *const *outputs_end;
    int32_t channels;
    uint32_t ceiling; /* where output limits are inside int8, four times the same byte: 255 - (max - min) */
    uint32_t offset;  /* and min - ceiling */
} thimble_planes_job;

typedef void (*thimble_planes_function)(const thimble_planes_job *job);

/* Most output rows of one filling of the planes. */
#define THIMBLE_MAX_PLANE_ROWS 16

/* Depthwise convolution, int8, as thimble_depthwise_conv_2d_s8 with a multiplier of 1: output rows [first, end).
 * With all channels at once, all input rows of some output rows are read before any of these is written: so the output
 * may lie over the input wherever that of thimble_depthwise_conv_2d_s8 may. Blocks of channels are made one behind the
 * other, for all rows of the call: the output must not lie over the input. `function` null takes the portable twin.
 * scratch  channels_at_once * ((rows_at_once - 1) * stride + kernel_height) * row_words words */
void thimble_planes_dsp(const thimble_planes_dsp_params *params, thimble_planes_function function,
                        const thimble_rows *input, const int32_t *packed, uint32_t *scratch, const thimble_rows *output,
                        int32_t first, int32_t end);

#endif
