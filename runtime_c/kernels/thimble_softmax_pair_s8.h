/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_SOFTMAX_PAIR_S8_H
#define THIMBLE_SOFTMAX_PAIR_S8_H

#include <stdint.h>

typedef struct {
    int32_t rows;
} thimble_softmax_pair_s8_params;

/* Softmax over rows of two int8, whose outputs follow from how far the two lie apart.
 * input, output (rows, 2)
 * outputs (256, 2): by that distance the outputs for the larger and the smaller value */
void thimble_softmax_pair_s8(const thimble_softmax_pair_s8_params *params, const int8_t *input, const int8_t *outputs,
                             int8_t *output);

#endif
