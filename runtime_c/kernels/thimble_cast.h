/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_CAST_H
#define THIMBLE_CAST_H

#include <stdint.h>

enum { THIMBLE_CAST_S8, THIMBLE_CAST_S16, THIMBLE_CAST_S32, THIMBLE_CAST_BOOL, THIMBLE_CAST_F32 };

/* Types are the names above; a bool is a byte that holds 0 or 1. */
typedef struct {
    int32_t count; /* elements */
    int32_t input_type;
    int32_t output_type;
} thimble_cast_params;

/* Changes the element type of count elements: integers wrap into a smaller type, floats are cut towards zero and
 * saturate (NaN gives 0), anything but 0 is true. The two tensors may be one if their elements are of one size. */
void thimble_cast(const thimble_cast_params *params, const void *input, void *output);

#endif
