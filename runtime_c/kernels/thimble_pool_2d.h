/* SPDX-License-Identifier: 0BSD */
/* What the pooling kernels share. */
#ifndef THIMBLE_POOL_2D_H
#define THIMBLE_POOL_2D_H

#include <stdint.h>

/* Sizes in elements; output limits in the range of the element type. */
typedef struct {
    int32_t input_height;
    int32_t input_width;
    int32_t channels;
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t stride_height;
    int32_t stride_width;
    int32_t pad_top;
    int32_t pad_left;
    int32_t output_height;
    int32_t output_width;
    int32_t output_min;
    int32_t output_max;
} thimble_pool_2d_params;

/* The part [begin, end) of a window that lies inside of the input. */
typedef struct {
    int32_t begin;
    int32_t end;
} thimble_span;

/* A window of `kernel` elements from `start` on, cut to an input of `size`; `kernel` may be up to INT32_MAX. */
static inline thimble_span thimble_window_span(int32_t start, int32_t kernel, int32_t size) {
    const thimble_span span = {start < 0 ? 0 : start, kernel < size - start ? start + kernel : size};
    return span;
}

#endif
