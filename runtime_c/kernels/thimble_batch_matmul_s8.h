/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_BATCH_MATMUL_S8_H
#define THIMBLE_BATCH_MATMUL_S8_H

#include "thimble_batch_matmul.h"

typedef thimble_batch_matmul_params thimble_batch_matmul_s8_params;

/* Products of matrices (rows, depth) and (depth, columns), int8, int32 accumulators, one multiplier and shift.
 * left, right: matrices at the given strides; output (batches[0], batches[1], batches[2], rows, columns), contiguous;
 * must not overlap an input */
void thimble_batch_matmul_s8(const thimble_batch_matmul_s8_params *params, const int8_t *left, const int8_t *right,
                             int8_t *output);

#endif
