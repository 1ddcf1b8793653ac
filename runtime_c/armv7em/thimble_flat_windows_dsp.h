/* SPDX-License-Identifier: 0BSD */
/* Convolutions of images with few channels as pointwise ones: each window becomes the channels of one pixel. */
#ifndef THIMBLE_FLAT_WINDOWS_DSP_H
#define THIMBLE_FLAT_WINDOWS_DSP_H

#include <stdint.h>

#include "thimble_wide_rows_dsp.h"

/* Sizes in elements. */
typedef struct {
    int32_t input_height;
    int32_t input_width;
    int32_t input_channels;
    int32_t stride_height;
    int32_t stride_width;
    int32_t pad_top;
    int32_t pad_left;
    int32_t output_height;
    int32_t output_width;
    int32_t output_channels; /* at least 2 */
    int32_t input_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t held_rows; /* of the image, under a row of windows */
    int32_t pitch;     /* bytes of a held row, borders included, a multiple of 4 */
    int32_t depth;     /* of a window, a multiple of 4 */
    int32_t windows;   /* at once; the last ones may be fewer, but no fewer than THIMBLE_MIN_PIXELS */
    int32_t row_steps;
    int32_t folded;
    int32_t scale_bits;
    int32_t rounds_ties;
    int32_t shift;
    int32_t max_tails;
} thimble_flat_windows_dsp_params;

/* `count` windows side by side, the first one at `from`, as depth / 2 words each. */
typedef void (*thimble_put_windows_function)(const int8_t *from, uint32_t *to, int32_t count);

/* Windows as the pixels of a matrix product. */
thimble_wide_rows_dsp_params thimble_window_pixels(const thimble_flat_windows_dsp_params *params);

/* Image rows from `line` on between their borders, `kept` of them from the end of those that are held. */
void thimble_hold_rows_dsp(const thimble_flat_windows_dsp_params *params, const thimble_rows *input, int32_t line,
                           int32_t kept, int8_t *held);

/* Convolution, int8, as thimble_conv_2d_s8, with ungrouped channels and no dilation to the side: output rows
 * [first, end), which are all of one image, and lie one behind the other. The input rows under a row of outputs are
 * read before any of it is written: so the output may lie over the input wherever that of thimble_conv_2d_s8 may.
 * packed   as for thimble_flat_pixels_dsp with depth channels, in the order of the words of `put`
 * scratch  as for that function, and held_rows * pitch bytes */
void thimble_flat_windows_dsp(const thimble_flat_windows_dsp_params *params, thimble_row_matmul_function function,
                              thimble_put_windows_function put, const thimble_rows *input, const int32_t *packed,
                              uint32_t *scratch, const thimble_rows *output, int32_t first, int32_t end);

#endif
