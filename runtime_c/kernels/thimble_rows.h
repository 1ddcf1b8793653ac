/* SPDX-License-Identifier: 0BSD */
/* A tensor as rows, which may lie anywhere in the arena: layer by layer and row by row, kernels are the same. */
#ifndef THIMBLE_ROWS_H
#define THIMBLE_ROWS_H

#include <stdint.h>

/* Unit of the offsets of rows, in bytes. */
#define THIMBLE_ROW_UNIT 4

/* Row y begins at base + THIMBLE_ROW_UNIT * offsets[y], or at base + row_bytes * y where there are no offsets. */
typedef struct {
    uint8_t *base;
    const uint16_t *offsets; /* (rows), or null: the rows lie one behind the other */
    int32_t row_bytes;
} thimble_rows;

/* The first byte of row y. */
static inline void *thimble_row(const thimble_rows *rows, int32_t y) {
    return rows->base + (rows->offsets ? THIMBLE_ROW_UNIT * (int32_t)rows->offsets[y] : rows->row_bytes * y);
}

#endif
