/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_SOFTMAX_S16_H
#define THIMBLE_SOFTMAX_S16_H

#include <stdint.h>

typedef struct {
    int32_t rows;
    int32_t depth;      /* in [1, 65535] */
    int32_t multiplier; /* from input steps to 10 / 65535 */
    int32_t shift;      /* in [-31, 30] */
} thimble_softmax_s16_params;

/* Softmax over each row of int16; the output has scale 1/32768.
 * input, output (rows, depth)
 * exponentials, reciprocals (513): exp(x) over [-10, 0] and 1 / (1 + x) over [0, 1], 15 fractional bits */
void thimble_softmax_s16(const thimble_softmax_s16_params *params, const int16_t *input, const int16_t *exponentials,
                         const int16_t *reciprocals, int16_t *output);

#endif
