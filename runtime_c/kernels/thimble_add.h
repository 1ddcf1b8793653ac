/* SPDX-License-Identifier: 0BSD */
/* What the quantized kernels of ADD and SUB share. */
#ifndef THIMBLE_ADD_H
#define THIMBLE_ADD_H

#include <stdint.h>

#include "thimble_broadcast.h"
#include "thimble_common.h"

/* Zero points and output limits in the range of the element type; shifts in [-31, 0]. */
typedef struct {
    int32_t dims[THIMBLE_BROADCAST_RANK];
    int32_t strides1[THIMBLE_BROADCAST_RANK];
    int32_t strides2[THIMBLE_BROADCAST_RANK];
    int32_t sign; /* 1 adds, -1 subtracts */
    int32_t zero_point1;
    int32_t multiplier1;
    int32_t shift1;
    int32_t zero_point2;
    int32_t multiplier2;
    int32_t shift2;
    int32_t output_zero_point;
    int32_t output_multiplier;
    int32_t output_shift;
    int32_t output_min;
    int32_t output_max;
} thimble_add_params;

/* a + sign * b, after both were brought to one scale with `left_shift` more bits. */
static inline int32_t thimble_add_values(const thimble_add_params *p, int left_shift, int32_t a, int32_t b) {
    const int32_t scaled1 = thimble_requantize((a - p->zero_point1) * (1 << left_shift), p->multiplier1, p->shift1);
    const int32_t scaled2 = thimble_requantize((b - p->zero_point2) * (1 << left_shift), p->multiplier2, p->shift2);
    const int32_t sum = scaled1 + p->sign * scaled2;
    const int32_t value = thimble_requantize(sum, p->output_multiplier, p->output_shift) + p->output_zero_point;
    return thimble_clamp(value, p->output_min, p->output_max);
}

#endif
