/* SPDX-License-Identifier: 0BSD */
/* A pointwise convolution whose outputs become the planes of the depthwise convolution behind it. */
#ifndef THIMBLE_CONV_2D_DEPTHWISE_DSP_H
#define THIMBLE_CONV_2D_DEPTHWISE_DSP_H

#include <stdint.h>

#include "thimble_flat_windows_dsp.h"
#include "thimble_planes_dsp.h"
#include "thimble_rows.h"
#include "thimble_wide_rows_dsp.h"

/* Most output rows of an image. */
#define THIMBLE_MAX_FUSED_ROWS 64

typedef struct {
    thimble_wide_rows_dsp_params convolution; /* row_pixels: the pixels of a band */
    thimble_planes_dsp_params depthwise;      /* rows_at_once: most output rows of a band */
    int32_t plane_rows;                       /* rows of a plane */
    int32_t band_rows;                        /* rows of the convolution's output in a band; the last may have less */
    int32_t quads_at_once; /* groups of four channels whose planes are there at the same time: all, or some of an image
                              that is one band */
} thimble_conv_2d_depthwise_dsp_params;

typedef struct {
    thimble_flat_windows_dsp_params convolution; /* windows: whole rows, of which a band may end with less */
    thimble_planes_dsp_params depthwise;
    int32_t plane_rows;
    int32_t band_rows;
    int32_t quads_at_once; /* all */
} thimble_windows_depthwise_dsp_params;

/* Some channels of the pixels of some rows; the generated assembly reads the fields in this order.
 * rows     (pixels, channels / 4, 2): widened pixels, see thimble_sums_dsp.h
 * weights  as in thimble_row_matmul_job; of an odd number of channels the last pair holds the last one twice
 * outputs  null: planes take the place of output rows
 * lane     the word of the first channel that holds its first pixel, or the upper half of it */
typedef struct {
    const uint32_t *rows;
    const int32_t *weights;
    int32_t pair_bytes;
    uint32_t *staged;
    int8_t *const *outputs;
    uint8_t *lane;
    int32_t channels;   /* a multiple of 2 */
    uint32_t ceiling;   /* where output limits are inside int8, both lanes: 65535 - (max - min) */
    uint32_t offset;    /* and min - ceiling */
    int32_t quad_step;  /* bytes from the third channel of planes to the first one of the next planes */
    int32_t rows_bytes; /* of a plane, all rows together */
} thimble_planes_matmul_job;

typedef void (*thimble_planes_matmul_function)(const thimble_planes_matmul_job *job);

/* thimble_conv_2d_s8 with windows of one pixel and stride 1, and thimble_depthwise_conv_2d_s8 with a multiplier of 1
 * behind it, on whole tensors of one image. Without DSP instructions portable twins take the place of
 * `product` and `depthwise`. Rows of the image are made in bands, and all of a band is read before outputs are made of
 * it: no output row is written before the input under all output rows below it was read. The output may lie over the
 * input wherever no output element lies over what later ones read.
 * packed            weights, bias and requantization of each pair of channels, and up to 24 bytes that are not used
 * depthwise_packed  as in thimble_planes_dsp
 * scratch           the weights of one pair in whole 32 bytes; the widened pixels of a band, and what the last turn
 *                   reads behind them; quads_at_once planes of 4 * plane_rows * row_words words; kept_rows of those of
 * all channels */
void thimble_conv_2d_depthwise_dsp(const thimble_conv_2d_depthwise_dsp_params *params,
                                   thimble_planes_matmul_function product, thimble_planes_function depthwise,
                                   const thimble_rows *input, const int32_t *packed, const int32_t *depthwise_packed,
                                   uint32_t *scratch, const thimble_rows *output);

/* The same for the convolutions that thimble_flat_windows_dsp takes: some rows of windows at a time, and the planes of
 * all channels. scratch  the weights of one pair; the windows, and what the last turn reads behind them; held_rows *
 * pitch bytes; and the planes */
void thimble_windows_depthwise_dsp(const thimble_windows_depthwise_dsp_params *params,
                                   thimble_planes_matmul_function product, thimble_planes_function depthwise,
                                   thimble_put_windows_function put, const thimble_rows *input, const int32_t *packed,
                                   const int32_t *depthwise_packed, uint32_t *scratch, const thimble_rows *output);

#endif
