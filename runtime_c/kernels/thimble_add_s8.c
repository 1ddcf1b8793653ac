/* SPDX-License-Identifier: 0BSD */
#include "thimble_add_s8.h"

/* Bits that both inputs gain, so that their sum keeps its precision and fits 32 bits. */
#define LEFT_SHIFT 20

void thimble_add_s8(const thimble_add_s8_params *params, const int8_t *input1, const int8_t *input2, int8_t *output) {
    const thimble_add_s8_params *p = params;
    const int32_t count = p->dims[THIMBLE_BROADCAST_LAST];
    const int32_t step1 = p->strides1[THIMBLE_BROADCAST_LAST];
    const int32_t step2 = p->strides2[THIMBLE_BROADCAST_LAST];
    thimble_broadcast_row row = {{0}, 0, 0};
    do {
        const int8_t *a = input1 + row.offset1;
        const int8_t *b = input2 + row.offset2;
        for (int32_t i = 0; i < count; i++) {
            *output++ = (int8_t)thimble_add_values(p, LEFT_SHIFT, a[i * step1], b[i * step2]);
        }
    } while (thimble_broadcast_next(&row, p->dims, p->strides1, p->strides2));
}
