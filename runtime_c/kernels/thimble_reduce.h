/* SPDX-License-Identifier: 0BSD */
/* What the reductions share: loops over the kept elements around loops over the reduced ones, outermost first. Sizes
 * and strides are in elements; every reduction of up to six dimensions needs at most three loops of each kind. */
#ifndef THIMBLE_REDUCE_H
#define THIMBLE_REDUCE_H

#include <stdint.h>

typedef struct {
    int32_t kept_sizes[3];
    int32_t kept_strides[3];
    int32_t reduced_sizes[3];
    int32_t reduced_strides[3];
} thimble_reduce_params;

typedef struct {
    int32_t kept_sizes[3];
    int32_t kept_strides[3];
    int32_t reduced_sizes[3];
    int32_t reduced_strides[3];
    int32_t input_zero_point;
    int32_t multiplier; /* from the sum to the output's units: multiplier * 2^(shift - 31) */
    int32_t shift;
    int32_t output_zero_point;
} thimble_reduce_sum_params;

#endif
