/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_COPY_ROWS_H
#define THIMBLE_COPY_ROWS_H

#include <stdint.h>

#include "thimble_rows.h"

typedef struct {
    int32_t begin;  /* the output row that the first input row is copied to */
    int32_t rows;   /* rows of the input */
    int32_t bytes;  /* of a row of the input */
    int32_t offset; /* where they begin in the output row, in bytes */
} thimble_copy_rows_params;

/* Copies the input's rows into the output's rows from `begin` on, as far as these are among [first, end). Rows of input
 * and output must not overlap. */
void thimble_copy_rows(const thimble_copy_rows_params *params, const thimble_rows *input, const thimble_rows *output,
                       int32_t first, int32_t end);

#endif
