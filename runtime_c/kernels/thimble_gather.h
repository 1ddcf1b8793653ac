/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_GATHER_H
#define THIMBLE_GATHER_H

#include <stdint.h>

typedef struct {
    int32_t batches;
    int32_t outer;
    int32_t size; /* of the dimension that is picked from, 1 or more */
    int32_t indices;
    int32_t slice_bytes;
} thimble_gather_params;

/* Picks slices by index; an index out of range picks the nearest slice.
 * input (batches, outer, size) slices; indices (batches, indices)
 * output (batches, outer, indices) slices; must not overlap the inputs */
void thimble_gather(const thimble_gather_params *params, const void *input, const int32_t *indices, void *output);

#endif
