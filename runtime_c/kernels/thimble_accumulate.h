/* SPDX-License-Identifier: 0BSD */
/* What the kernels share that take an input row by row and give their output after the last one. */
#ifndef THIMBLE_ACCUMULATE_H
#define THIMBLE_ACCUMULATE_H

#include <stdint.h>

#include "thimble_common.h"
#include "thimble_rows.h"

/* Sizes in elements; output limits in the range of the element type. */
typedef struct {
    int32_t input_height;
    int32_t input_width;
    int32_t channels;
    int32_t output_min;
    int32_t output_max;
} thimble_accumulate_params;

typedef struct {
    int32_t input_height;
    int32_t input_width;
    int32_t channels;
    int32_t offset;     /* - input_height * input_width * input zero point, modulo 2^32 */
    int32_t multiplier; /* from the sum to the output's units: multiplier * 2^(shift - 31) */
    int32_t shift;
    int32_t output_zero_point;
} thimble_accumulate_sum_params;

/* start plus all elements of one channel of a row of `width` pixels, modulo 2^32; `in` is its first element. */
static inline int32_t thimble_row_sum_s8(int32_t start, const int8_t *in, int32_t width, int32_t channels) {
    int32_t sum = start;
    for (int32_t x = 0; x < width; x++) {
        sum = thimble_add(sum, in[x * channels]);
    }
    return sum;
}

static inline int32_t thimble_row_sum_s16(int32_t start, const int16_t *in, int32_t width, int32_t channels) {
    int32_t sum = start;
    for (int32_t x = 0; x < width; x++) {
        sum = thimble_add(sum, in[x * channels]);
    }
    return sum;
}

#endif
