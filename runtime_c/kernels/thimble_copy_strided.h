/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_COPY_STRIDED_H
#define THIMBLE_COPY_STRIDED_H

#include <stdint.h>

/* Sizes count runs; steps and offsets are in bytes, and steps may be negative or 0. The last dimension is the
 * innermost. */
typedef struct {
    int32_t run_bytes; /* contiguous in both tensors */
    int32_t sizes[6];
    int32_t source_steps[6];
    int32_t destination_steps[6];
    int32_t source_offset;
    int32_t destination_offset;
} thimble_copy_strided_params;

/* Copies a box of runs between two strided layouts. Source and destination may be one tensor if the boxes do not
 * overlap. */
void thimble_copy_strided(const thimble_copy_strided_params *params, const void *source, void *destination);

#endif
