/* SPDX-License-Identifier: 0BSD */
/* Convolutions of small images as pointwise ones: each window becomes the channels of one pixel. */
#ifndef THIMBLE_FLAT_WINDOWS_DSP_H
#define THIMBLE_FLAT_WINDOWS_DSP_H

#include <stdint.h>

#include "thimble_wide_rows_dsp.h"

/* Sizes in elements. */
typedef struct {
    int32_t input_height;
    int32_t input_width;
    int32_t input_channels;
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t stride_height;
    int32_t stride_width;
    int32_t dilation_height;
    int32_t pad_top;
    int32_t pad_left;
    int32_t output_height;
    int32_t output_width;
    int32_t output_channels; /* at least 2 */
    int32_t input_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t padded_height;
    int32_t padded_width;
    int32_t depth;   /* of a window, rounded up to a multiple of 4 */
    int32_t windows; /* at once; the last ones may be fewer, but no fewer than THIMBLE_MIN_PIXELS */
    int32_t row_steps;
    int32_t folded;
    int32_t scale_bits;
    int32_t rounds_ties;
    int32_t shift;
    int32_t max_tails;
} thimble_flat_windows_dsp_params;

/* Convolution, int8, as thimble_conv_2d_s8, with ungrouped channels and no dilation to the side: output rows
 * [first, end), which are all of one image, and lie one behind the other. The whole input is read before anything is
 * written.
 * packed   as for thimble_flat_pixels_dsp with depth channels
 * scratch  as for that function, depth bytes for one window, padded_height * padded_width * input_channels bytes */
void thimble_flat_windows_dsp(const thimble_flat_windows_dsp_params *params, thimble_row_matmul_function function,
                              const thimble_rows *input, const int32_t *packed, uint32_t *scratch,
                              const thimble_rows *output, int32_t first, int32_t end);

#endif
