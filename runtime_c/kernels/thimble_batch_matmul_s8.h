/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_BATCH_MATMUL_S8_H
#define THIMBLE_BATCH_MATMUL_S8_H

#include <stdint.h>

/* Sizes and strides in elements; a batch stride is 0 where that input broadcasts; zero points in [-128, 127]. */
typedef struct {
    int32_t batches[3];
    int32_t left_batch_strides[3];
    int32_t right_batch_strides[3];
    int32_t rows;
    int32_t depth;
    int32_t columns;
    int32_t left_row_stride;
    int32_t left_depth_stride;
    int32_t right_depth_stride;
    int32_t right_column_stride;
    int32_t left_zero_point;
    int32_t right_zero_point;
    int32_t output_zero_point;
    int32_t multiplier;
    int32_t shift;
} thimble_batch_matmul_s8_params;

/* Products of matrices (rows, depth) and (depth, columns), int8, int32 accumulators, one multiplier and shift.
 * left, right: matrices at the given strides; output (batches[0], batches[1], batches[2], rows, columns), contiguous;
 * must not overlap an input */
void thimble_batch_matmul_s8(const thimble_batch_matmul_s8_params *params, const int8_t *left, const int8_t *right,
                             int8_t *output);

#endif
