/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_ADD_MVE_H
#define THIMBLE_ADD_MVE_H

#include <stdint.h>

typedef struct {
    int32_t count; /* elements */
    int32_t a;
    int32_t b;
    int32_t c; /* no a * x + b * y + c leaves 32 bits */
    int32_t shift;
    int32_t output_min;
    int32_t output_max;
} thimble_add_mve_params;

/* output = (a * input1 + b * input2 + c) >> shift within the limits, in vectors of four: ADD and SUB of int8 tensors of
 * one shape, where the constants give every byte that thimble_add_s8 gives. The output may lie over an input that
 * begins no earlier. */
void thimble_add_mve(const thimble_add_mve_params *params, const int8_t *input1, const int8_t *input2, int8_t *output);

#endif
