/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_TANH_S16_H
#define THIMBLE_TANH_S16_H

#include <stdint.h>

typedef struct {
    int32_t size;
    int32_t multiplier; /* in [0, 32767] */
    int32_t shift;      /* to the right, in [0, 31] */
} thimble_tanh_s16_params;

/* Hyperbolic tangent on int16; the output has scale 2^-15.
 * input, output (size); may be the same memory. sigmoid (256): see thimble_sigmoid.h */
void thimble_tanh_s16(const thimble_tanh_s16_params *params, const int16_t *input, const int16_t *sigmoid,
                      int16_t *output);

#endif
