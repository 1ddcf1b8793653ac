/* SPDX-License-Identifier: 0BSD */
/* What the SVDF kernels for the two types of state share. */
#ifndef THIMBLE_SVDF_H
#define THIMBLE_SVDF_H

#include <stdint.h>

#include "thimble_common.h"

/* Sizes in elements; there are units * rank filters. Zero points in [-128, 127], the state's is 0 for an int16 state.
 */
typedef struct {
    int32_t batches;
    int32_t input_size;
    int32_t units;
    int32_t rank;
    int32_t memory;
    int32_t input_zero_point;
    int32_t state_zero_point;
    int32_t output_zero_point;
    int32_t feature_multiplier; /* from sums over the input to the state */
    int32_t feature_shift;
    int32_t time_multiplier; /* from sums over time to the output */
    int32_t time_shift;
} thimble_svdf_params;

/* A filter's newest value, before it is clamped to the state's type: the input's product with its weights. */
static inline int32_t thimble_svdf_feature(const thimble_svdf_params *p, const int8_t *input, const int8_t *weights) {
    uint32_t sum = 0;
    for (int32_t i = 0; i < p->input_size; i++) {
        sum += (uint32_t)((input[i] - p->input_zero_point) * weights[i]);
    }
    return thimble_requantize((int32_t)sum, p->feature_multiplier, p->feature_shift);
}

/* A unit's output from its bias plus its filters' sums over time. */
static inline int8_t thimble_svdf_output(const thimble_svdf_params *p, int32_t sum) {
    const int32_t scaled = thimble_requantize(sum, p->time_multiplier, p->time_shift);
    return (int8_t)thimble_clamp(thimble_add(scaled, p->output_zero_point), INT8_MIN, INT8_MAX);
}

#endif
