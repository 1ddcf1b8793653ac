/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_ARG_MIN_MAX_S8_H
#define THIMBLE_ARG_MIN_MAX_S8_H

#include <stdint.h>

typedef struct {
    int32_t outer;   /* product of the dimensions before the axis */
    int32_t size;    /* of the axis */
    int32_t inner;   /* product of the dimensions after the axis */
    int32_t largest; /* 1: index of the maximum, 0: of the minimum */
} thimble_arg_min_max_s8_params;

/* Index of the first extreme element along the axis.
 * input (outer, size, inner); output (outer, inner); the two must not overlap */
void thimble_arg_min_max_s8(const thimble_arg_min_max_s8_params *params, const int8_t *input, int32_t *output);

#endif
