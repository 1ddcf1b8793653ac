/* SPDX-License-Identifier: 0BSD */
/* The sum of what a convolution gives and a residual, in the tail of the convolution. */
#ifndef THIMBLE_RESIDUAL_SUM_H
#define THIMBLE_RESIDUAL_SUM_H

#include <stdint.h>

#include "thimble_common.h"

/* (a * x + b * residual + c) >> shift, limited to [min, max] within int8; no sum leaves 32 bits. */
typedef struct {
    int32_t a;
    int32_t b;
    int32_t c;
    int32_t shift;
    int32_t min;
    int32_t max;
} thimble_residual_sum;

static inline int8_t thimble_residual_summed(const thimble_residual_sum *sum, int32_t x, int32_t residual) {
    return (int8_t)thimble_clamp((sum->a * x + sum->b * residual + sum->c) >> sum->shift, sum->min, sum->max);
}

#endif
