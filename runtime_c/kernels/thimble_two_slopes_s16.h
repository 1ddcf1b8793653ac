/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_TWO_SLOPES_S16_H
#define THIMBLE_TWO_SLOPES_S16_H

#include <stdint.h>

/* Zero points and output limits in the range of int16; shifts in [-31, 30]. */
typedef struct {
    int32_t size;
    int32_t input_zero_point;
    int32_t positive_multiplier;
    int32_t positive_shift;
    int32_t negative_sign; /* 1, or -1 for the absolute value */
    int32_t negative_multiplier;
    int32_t negative_shift;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
} thimble_two_slopes_s16_params;

/* One multiplier for inputs from their zero point up, another one below it: RELU, LEAKY_RELU, ABS on int16.
 * input, output (size); may be the same memory */
void thimble_two_slopes_s16(const thimble_two_slopes_s16_params *params, const int16_t *input, int16_t *output);

#endif
