/* SPDX-License-Identifier: 0BSD */
#include "thimble_copy_rows.h"

#include <string.h>

void thimble_copy_rows(const thimble_copy_rows_params *params, const thimble_rows *input, const thimble_rows *output,
                       int32_t first, int32_t end) {
    const thimble_copy_rows_params *p = params;
    const int32_t from = first > p->begin ? first : p->begin;
    const int32_t to = end < p->begin + p->rows ? end : p->begin + p->rows;
    for (int32_t row = from; row < to; row++) {
        memcpy((uint8_t *)thimble_row(output, row) + p->offset, thimble_row(input, row - p->begin), (size_t)p->bytes);
    }
}
