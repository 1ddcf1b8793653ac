/* SPDX-License-Identifier: 0BSD */
/* What the quantized kernels of MUL share. */
#ifndef THIMBLE_MUL_H
#define THIMBLE_MUL_H

#include <stdint.h>

#include "thimble_broadcast.h"
#include "thimble_common.h"

/* Zero points and output limits in the range of the element type; shift in [-31, 30]. */
typedef struct {
    int32_t dims[THIMBLE_BROADCAST_RANK];
    int32_t strides1[THIMBLE_BROADCAST_RANK];
    int32_t strides2[THIMBLE_BROADCAST_RANK];
    int32_t zero_point1;
    int32_t zero_point2;
    int32_t output_zero_point;
    int32_t output_multiplier;
    int32_t output_shift;
    int32_t output_min;
    int32_t output_max;
} thimble_mul_params;

/* a * b, requantized to the output's scale. */
static inline int32_t thimble_mul_values(const thimble_mul_params *p, int32_t a, int32_t b) {
    const int32_t product = (a - p->zero_point1) * (b - p->zero_point2);
    const int32_t scaled = thimble_requantize(product, p->output_multiplier, p->output_shift);
    return thimble_clamp(thimble_add(scaled, p->output_zero_point), p->output_min, p->output_max);
}

#endif
