/* SPDX-License-Identifier: 0BSD */
/* What the kernels of PRELU share. */
#ifndef THIMBLE_PRELU_H
#define THIMBLE_PRELU_H

#include <stdint.h>

#include "thimble_broadcast.h"
#include "thimble_common.h"

/* Zero points and output limits in the range of their type; shifts in [-31, 30]. */
typedef struct {
    int32_t dims[THIMBLE_BROADCAST_RANK];
    int32_t strides1[THIMBLE_BROADCAST_RANK];
    int32_t strides2[THIMBLE_BROADCAST_RANK];
    int32_t zero_point;
    int32_t alpha_zero_point;
    int32_t positive_multiplier;
    int32_t positive_shift;
    int32_t negative_multiplier;
    int32_t negative_shift;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
} thimble_prelu_params;

/* x where it is not negative, else alpha * x, requantized to the output's scale. */
static inline int32_t thimble_prelu_value(const thimble_prelu_params *p, int32_t input, int32_t alpha) {
    const int32_t x = input - p->zero_point;
    const int32_t scaled =
        x >= 0 ? thimble_requantize(x, p->positive_multiplier, p->positive_shift)
               : thimble_requantize(x * (alpha - p->alpha_zero_point), p->negative_multiplier, p->negative_shift);
    return thimble_clamp(thimble_add(scaled, p->output_zero_point), p->output_min, p->output_max);
}

#endif
