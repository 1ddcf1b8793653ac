/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_EXTREMUM_S16_H
#define THIMBLE_EXTREMUM_S16_H

#include <stdint.h>

#include "thimble_broadcast.h"

typedef struct {
    int32_t dims[THIMBLE_BROADCAST_RANK];
    int32_t strides1[THIMBLE_BROADCAST_RANK];
    int32_t strides2[THIMBLE_BROADCAST_RANK];
    int32_t take_larger; /* 1: the larger one, 0: the smaller one */
} thimble_extremum_s16_params;

/* The larger or the smaller one of input1 and input2, by their stored values.
 * output (dims); may be the same memory as an input of its own shape */
void thimble_extremum_s16(const thimble_extremum_s16_params *params, const int16_t *input1, const int16_t *input2,
                          int16_t *output);

#endif
