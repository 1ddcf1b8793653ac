/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_BATCH_MATMUL_MVE_H
#define THIMBLE_BATCH_MATMUL_MVE_H

#include <stdint.h>

#include "thimble_batch_matmul.h"

/* Columns that are laid out at once, a multiple of 4. */
typedef struct {
    thimble_batch_matmul_params matmul;
    int32_t columns_at_once;
} thimble_batch_matmul_mve_params;

/* As thimble_batch_matmul_s8, one row by four columns at a time; zero points are taken off the finished sums.
 * scratch: 4 bytes and the depth, rounded up to a multiple of 16, for each of columns_at_once columns; the same depth
 * once more for a row whose values lie apart */
void thimble_batch_matmul_mve(const thimble_batch_matmul_mve_params *params, const int8_t *left, const int8_t *right,
                              int32_t *scratch, int8_t *output);

#endif
