/* SPDX-License-Identifier: 0BSD */
/* Depthwise convolutions along planes: some rows of four channels as int16, word by word side by side. */
#ifndef THIMBLE_PLANES_DSP_H
#define THIMBLE_PLANES_DSP_H

#include <stdint.h>

#include "thimble_dsp.h"
#include "thimble_rows.h"
#include "thimble_window.h"

/* Channels whose planes lie side by side. */
#define THIMBLE_PLANE_LANES 4

/* Most output rows of one filling of the planes, and most rows that the planes then hold. */
#define THIMBLE_MAX_OUTPUT_ROWS 28
#define THIMBLE_MAX_PLANE_ROWS 32

/* Sizes in elements. Where rows are the image's columns (`turned`), heights and widths are exchanged. */
typedef struct {
    thimble_window window;
    int32_t channels;
    int32_t input_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t row_words;     /* words of two elements in a plane's row, borders included */
    int32_t packed_height; /* the kernel as it is packed: its own size, or a long row cut into shorter ones, */
    int32_t packed_width;
    int32_t packed_pitch;  /* and the words from the data of one such row to that of the next */
    int32_t rows_at_once;  /* output rows that are made from one filling of the planes */
    int32_t channel_words; /* packed words of a channel */
    int32_t total_shift;   /* last shift of all channels, or -1 where each channel has its own */
    int32_t scale_bits;    /* where each has: the sums' scale */
    int32_t rounds_ties;   /* where each has: whether halves below the zero point are rounded away from it */
    int32_t weight_bits;   /* 8, or 4 or 2 where several weights share a byte */
    int32_t tap_row_bytes; /* bytes of a kernel row where weights are packed as bytes or closer, else 0 */
    int32_t special_at;    /* then: where among them the scale bits stand, or the last shift less 1 */
    int32_t constants_at;  /* the packed word at which bias and multiplier stand */
    int32_t common_addend; /* addends without 2^(scale bits - 2), before that shift where each channel has its own */
    int32_t no_addend;     /* sums begin with all that is to be added, and all are scaled by 2^(scale bits) */
    int32_t turned;        /* whether rows are columns: of one image, whose rows lie one behind the other */
} thimble_planes_dsp_params;

/* All channels of some output rows, four at a time; the generated assembly reads the fields in this order.
 * planes   (rows, row_words, 4) pairs of elements, the first one of a row under the first tap of its first output
 * packed   (channels, channel_words): for each kernel row words of two weights, word i taps i and i + 1; then bias,
 *          multiplier, unless there is none addend and, where each channel has its own, shift. Or weights as bytes, row
 *          by row, and one byte more; then bias and multiplier. Below 8 bits each kernel row begins at a byte
 * outputs  the output rows
 * weights  scratch behind the planes, where words of two weights are made from bytes
 * inputs   the input rows that are inside of the image
 * to       the first word of the planes that holds a pixel of the first of these
 */
typedef struct {
    uint32_t *planes;
    const int32_t *packed;
    int8_t *const *outputs;
    int8_t *const *outputs_end;
    int32_t channels;
    uint32_t ceiling; /* where output limits are inside int8, four times the same byte: 255 - (max - min) */
    uint32_t offset;  /* and min - ceiling */
    int32_t common_addend;
    uint32_t *weights;
    int32_t quad_bytes; /* from the planes of four channels to those of the next; 0 where the call fills them itself */
    const int8_t *const *inputs;
    const int8_t *const *inputs_end;
    uint32_t *to;
    int32_t pixel_bytes;
    uint32_t border;     /* four times the input's zero point */
    int32_t leads;       /* words of a border and a pixel at the start of a row: 1 or 0 */
    int32_t fours_bytes; /* input bytes of the groups of four pixels behind */
    int32_t twos;        /* pairs behind these: 1 or 0 */
    int32_t ones;        /* words of a pixel and a border at the end: 1 or 0 */
    int32_t next_bytes;  /* from the word behind a row's last pixel to the next row's first */
} thimble_planes_job;

typedef void (*thimble_planes_function)(const thimble_planes_job *job);

typedef void (*thimble_fill_lanes_function)(const thimble_planes_dsp_params *params, const thimble_planes_job *job,
                                            int32_t from, int32_t end);

/* What is the same for all output rows; `scratch` is where the planes lie. */
void thimble_start_planes_job(const thimble_planes_dsp_params *params, const int32_t *packed, uint32_t *scratch,
                              thimble_planes_job *job);

/* Borders of planes of `held` rows, of which [begin, end) are inside of the image. Pixels lie over them no further than
 * in words that they share, so that they serve all channels. */
void thimble_frame_planes_dsp(const thimble_planes_dsp_params *params, uint32_t *planes, int32_t begin, int32_t end,
                              int32_t held);

#if !defined(__ARM_FEATURE_DSP)
/* The portable twin of the generated functions, with the same bytes. */
void thimble_planes_portable(const thimble_planes_dsp_params *params, const thimble_planes_job *job);
#endif

/* Depthwise convolution, int8, as thimble_depthwise_conv_2d_s8 with a multiplier of 1: output rows [first, end).
 * Input rows are read for four channels at a time while outputs of the ones before are written: the output must not lie
 * over the input rows of the same rows_at_once output rows. Without DSP instructions a portable twin takes the place of
 * `function`; `fill` is thimble_fill_lanes_dsp where there are less than four channels, else null.
 * scratch  4 * ((rows_at_once - 1) * stride_height + kernel_height) * row_words words, and with weights as bytes or
 *          closer that are not rows of three, packed_height * max(packed_width - 1, 1) more */
void thimble_planes_dsp(const thimble_planes_dsp_params *params, thimble_planes_function function,
                        thimble_fill_lanes_function fill, const thimble_rows *input, const int32_t *packed,
                        uint32_t *scratch, const thimble_rows *output, int32_t first, int32_t end);

#endif
