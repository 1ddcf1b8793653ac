/* SPDX-License-Identifier: 0BSD */
/* What kernels share that add up the channels of all pixels of one image. */
#ifndef THIMBLE_REDUCE_PIXELS_H
#define THIMBLE_REDUCE_PIXELS_H

#include <stdint.h>

#include "thimble_common.h"

typedef struct {
    int32_t pixels;
    int32_t channels;
    int32_t offset;     /* - pixels * input zero point, modulo 2^32 */
    int32_t multiplier; /* from the sum to the output's units: multiplier * 2^(shift - 31) */
    int32_t shift;
    int32_t output_zero_point;
} thimble_reduce_pixels_params;

/* The output of a channel from the sum of its values, modulo 2^32. */
static inline int8_t thimble_reduced(const thimble_reduce_pixels_params *p, int32_t sum) {
    const int32_t scaled = thimble_requantize(thimble_add(sum, p->offset), p->multiplier, p->shift);
    return (int8_t)thimble_clamp(thimble_add(scaled, p->output_zero_point), INT8_MIN, INT8_MAX);
}

#endif
