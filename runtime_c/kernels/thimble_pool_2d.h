/* SPDX-License-Identifier: 0BSD */
/* What the pooling kernels share. */
#ifndef THIMBLE_POOL_2D_H
#define THIMBLE_POOL_2D_H

#include <stdint.h>

#include "thimble_window.h"

/* Sizes in elements; output limits in the range of the element type. */
typedef struct {
    int32_t channels;
    thimble_window window;
    int32_t output_min;
    int32_t output_max;
} thimble_pool_2d_params;

/* The part [begin, end) of a window that lies inside of the input. */
typedef struct {
    int32_t begin;
    int32_t end;
} thimble_span;

/* A window of `kernel` elements from `start` on, cut to an input of `size`; `kernel` may be up to INT32_MAX. */
static inline thimble_span thimble_span_inside(int32_t start, int32_t kernel, int32_t size) {
    const thimble_span span = {start < 0 ? 0 : start, kernel < size - start ? start + kernel : size};
    return span;
}

/* The rows of its image under the windows of output row `row`. */
static inline thimble_span thimble_row_span(thimble_window window, int32_t row) {
    return thimble_span_inside(thimble_window_top(window, row), window.kernel_height, window.input_height);
}

/* The columns under the windows of output column `x`. */
static inline thimble_span thimble_column_span(thimble_window window, int32_t x) {
    return thimble_span_inside(thimble_window_left(window, x), window.kernel_width, window.input_width);
}

#endif
