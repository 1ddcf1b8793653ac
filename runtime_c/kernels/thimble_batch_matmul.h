/* SPDX-License-Identifier: 0BSD */
/* What all kernels of batched matrix products share: where the matrices of each product lie. */
#ifndef THIMBLE_BATCH_MATMUL_H
#define THIMBLE_BATCH_MATMUL_H

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
} thimble_batch_matmul_params;

static inline int32_t thimble_batch_count(const thimble_batch_matmul_params *p) {
    return p->batches[0] * p->batches[1] * p->batches[2];
}

/* Where the matrix of product number `batch` begins, from the strides of its input. */
static inline int32_t thimble_batch_offset(const thimble_batch_matmul_params *p, const int32_t strides[3],
                                           int32_t batch) {
    const int32_t inner = batch / p->batches[2];
    const int32_t outer = inner / p->batches[1];
    return outer * strides[0] + (inner - outer * p->batches[1]) * strides[1] +
           (batch - inner * p->batches[2]) * strides[2];
}

#endif
