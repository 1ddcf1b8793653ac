/* SPDX-License-Identifier: 0BSD */
/* Kernels for int8 without windows, run on tensors of 2 or 4 bits, some pixels (or rows of a matrix) at a time. */
#ifndef THIMBLE_PACKED_ELEMENTS_DSP_H
#define THIMBLE_PACKED_ELEMENTS_DSP_H

#include <stdint.h>

#include "thimble_packed_runs_dsp.h"

/* An operand or result: elements of a pixel, and the bits of each. One of 8 bits is left where it is. */
typedef struct {
    int32_t channels;
    int32_t bits;
} thimble_packed_operand;

typedef struct {
    int32_t pixels;
    int32_t at_once;
    thimble_packed_operand input1;
    thimble_packed_operand input2; /* of no channels where there is but one */
    thimble_packed_operand output;
} thimble_packed_elements_params;

/* `count` pixels from pixel `first` on as int8: where they lie, or unpacked to `place`. */
const int8_t *thimble_packed_elements_fetch(thimble_packed_operand operand, const void *values, int32_t first,
                                            int32_t count, int8_t *place);

/* Where a kernel is to put the pixels from pixel `first` on: where they lie, or `place`. */
int8_t *thimble_packed_elements_target(thimble_packed_operand result, void *values, int32_t first, int8_t *place);

/* Pack `count` pixels that were put to `place`. */
void thimble_packed_elements_store(thimble_packed_operand result, const int8_t *place, void *values, int32_t first,
                                   int32_t count);

/* Behind at_once pixels of int8 from `place` on, a multiple of 4 bytes; `place` itself where there are none. */
int8_t *thimble_packed_elements_behind(thimble_packed_operand operand, int8_t *place, int32_t at_once);

#endif
