/* SPDX-License-Identifier: 0BSD */
/* The walk over two broadcast operands that every element-wise kernel of two inputs shares. */
#ifndef THIMBLE_BROADCAST_H
#define THIMBLE_BROADCAST_H

#include <stdint.h>

/* Output dimensions; the last one is the row that a kernel's inner loop runs over. */
#define THIMBLE_BROADCAST_RANK 6
#define THIMBLE_BROADCAST_LAST (THIMBLE_BROADCAST_RANK - 1)

/* Where a row begins in the two inputs, in elements; all zero at the first row. The output is written in order. */
typedef struct {
    int32_t index[THIMBLE_BROADCAST_LAST];
    int32_t offset1;
    int32_t offset2;
} thimble_broadcast_row;

/* Move to the next row; 0 after the last one. Strides are in elements, 0 along dimensions that are stretched. */
static inline int thimble_broadcast_next(thimble_broadcast_row *row, const int32_t *dims, const int32_t *strides1,
                                         const int32_t *strides2) {
    for (int axis = THIMBLE_BROADCAST_LAST - 1; axis >= 0; axis--) {
        row->offset1 += strides1[axis];
        row->offset2 += strides2[axis];
        if (++row->index[axis] < dims[axis]) {
            return 1;
        }
        row->index[axis] = 0;
        row->offset1 -= dims[axis] * strides1[axis];
        row->offset2 -= dims[axis] * strides2[axis];
    }
    return 0;
}

#endif
