/* SPDX-License-Identifier: 0BSD */
/* What the requantization kernels share. */
#ifndef THIMBLE_REQUANTIZE_H
#define THIMBLE_REQUANTIZE_H

#include <stdint.h>

#include "thimble_common.h"

/* Zero points and output limits in the range of their element type. */
typedef struct {
    int32_t count; /* elements */
    int32_t input_zero_point;
    int32_t multiplier; /* input scale / output scale = multiplier * 2^(shift - 31) */
    int32_t shift;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
} thimble_requantize_params;

/* One value to the output's scale and zero point. Sums are modulo 2^32, which only int32 tensors can reach. */
static inline int32_t thimble_requantize_value(const thimble_requantize_params *p, int32_t x) {
    const int32_t centred = (int32_t)((uint32_t)x - (uint32_t)p->input_zero_point);
    const int32_t scaled = thimble_requantize(centred, p->multiplier, p->shift);
    return thimble_clamp(thimble_add(scaled, p->output_zero_point), p->output_min, p->output_max);
}

#endif
