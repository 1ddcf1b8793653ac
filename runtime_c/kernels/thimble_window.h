/* SPDX-License-Identifier: 0BSD */
/* Windows that slide over rows and columns: which part of one lies inside of the input. */
#ifndef THIMBLE_WINDOW_H
#define THIMBLE_WINDOW_H

#include <stdint.h>

/* How a kernel slides over images of rows and columns, in elements: one window for each element of the output. */
typedef struct {
    int32_t input_height;
    int32_t input_width;
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t stride_height;
    int32_t stride_width;
    int32_t pad_top;
    int32_t pad_left;
    int32_t output_height;
    int32_t output_width;
} thimble_window;

/* The input row at which the image of output row `row` begins; rows are those of all images. */
static inline int32_t thimble_image(thimble_window window, int32_t row) {
    return row / window.output_height * window.input_height;
}

/* Where in its image the windows of output row `row` begin: above it where that is negative. */
static inline int32_t thimble_window_top(thimble_window window, int32_t row) {
    return row % window.output_height * window.stride_height - window.pad_top;
}

/* The column at which the windows of output column `x` begin. */
static inline int32_t thimble_window_left(thimble_window window, int32_t x) {
    return x * window.stride_width - window.pad_left;
}

/* The taps [begin, end) of a window that lie inside of an axis, none where both are 0. */
typedef struct {
    int32_t begin;
    int32_t end;
    int32_t position; /* of the tap `begin` */
    int32_t step;     /* from one of these taps to the next */
} thimble_taps;

/* The taps inside of an axis of `size` elements, of a window whose first tap lies at `start` and whose taps are
 * `dilation` elements apart. No result is larger than `size` or `kernel`, so that products with the sizes of a tensor
 * stay in 32 bits. */
static inline thimble_taps thimble_taps_inside(int32_t start, int32_t kernel, int32_t dilation, int32_t size) {
    thimble_taps taps = {0, 0, 0, 0};
    const int32_t begin = start < 0 ? (-1 - start) / dilation + 1 : 0;
    if (start < size && begin < kernel) {
        const int32_t fitting = (size - 1 - start) / dilation + 1;
        const int32_t end = fitting < kernel ? fitting : kernel;
        if (begin < end) {
            taps.begin = begin;
            taps.end = end;
            taps.position = start + begin * dilation;
            taps.step = end - begin > 1 ? dilation : 0;
        }
    }
    return taps;
}

/* The taps inside of the rows of its image, of the windows of output row `row`. */
static inline thimble_taps thimble_row_taps(thimble_window window, int32_t dilation, int32_t row) {
    return thimble_taps_inside(thimble_window_top(window, row), window.kernel_height, dilation, window.input_height);
}

/* The taps inside of the input's columns, of the windows of output column `x`. */
static inline thimble_taps thimble_column_taps(thimble_window window, int32_t dilation, int32_t x) {
    return thimble_taps_inside(thimble_window_left(window, x), window.kernel_width, dilation, window.input_width);
}

/* What a window sees of one input row: `count` runs of `length` neighbouring elements, from element `first` on. */
typedef struct {
    int32_t count;
    int32_t length;
    int32_t first;
    int32_t step; /* from one run to the next */
} thimble_runs;

/* The runs under the taps of a convolution that sees `group_channels` of `channels` channels. Without groups and
 * dilation, neighbouring taps are a single run, as their weights are. */
static inline thimble_runs thimble_runs_under(thimble_taps columns, int32_t channels, int32_t group_channels) {
    const int32_t taps = columns.end - columns.begin;
    const int joined = group_channels == channels && columns.step <= 1;
    const thimble_runs runs = {joined ? 1 : taps, joined ? taps * channels : group_channels,
                               columns.position * channels, columns.step * channels};
    return runs;
}

#endif
