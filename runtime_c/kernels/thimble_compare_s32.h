/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_COMPARE_S32_H
#define THIMBLE_COMPARE_S32_H

#include <stdint.h>

#include "thimble_broadcast.h"

typedef struct {
    int32_t dims[THIMBLE_BROADCAST_RANK];
    int32_t strides1[THIMBLE_BROADCAST_RANK];
    int32_t strides2[THIMBLE_BROADCAST_RANK];
    int32_t less;    /* 1 where input1 < input2 gives true, else 0 */
    int32_t equal;   /* the same for input1 == input2 */
    int32_t greater; /* the same for input1 > input2 */
} thimble_compare_s32_params;

/* A comparison of plain int32.
 * output (dims), 1 or 0; may lie over an input as far as reads stay ahead */
void thimble_compare_s32(const thimble_compare_s32_params *params, const int32_t *input1, const int32_t *input2,
                         uint8_t *output);

#endif
