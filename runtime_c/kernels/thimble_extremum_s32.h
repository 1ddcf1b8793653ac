/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_EXTREMUM_S32_H
#define THIMBLE_EXTREMUM_S32_H

#include <stdint.h>

#include "thimble_broadcast.h"

typedef struct {
    int32_t dims[THIMBLE_BROADCAST_RANK];
    int32_t strides1[THIMBLE_BROADCAST_RANK];
    int32_t strides2[THIMBLE_BROADCAST_RANK];
    int32_t take_larger; /* 1: the larger one, 0: the smaller one */
} thimble_extremum_s32_params;

/* The larger or the smaller one of input1 and input2, by their stored values.
 * output (dims); may be the same memory as an input of its own shape */
void thimble_extremum_s32(const thimble_extremum_s32_params *params, const int32_t *input1, const int32_t *input2,
                          int32_t *output);

#endif
