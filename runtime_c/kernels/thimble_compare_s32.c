/* SPDX-License-Identifier: 0BSD */
#include "thimble_compare_s32.h"

void thimble_compare_s32(const thimble_compare_s32_params *params, const int32_t *input1, const int32_t *input2,
                         uint8_t *output) {
    const thimble_compare_s32_params *p = params;
    const int32_t count = p->dims[THIMBLE_BROADCAST_LAST];
    const int32_t step1 = p->strides1[THIMBLE_BROADCAST_LAST];
    const int32_t step2 = p->strides2[THIMBLE_BROADCAST_LAST];
    thimble_broadcast_row row = {{0}, 0, 0};
    do {
        const int32_t *a = input1 + row.offset1;
        const int32_t *b = input2 + row.offset2;
        for (int32_t i = 0; i < count; i++) {
            const int32_t x = a[i * step1];
            const int32_t y = b[i * step2];
            *output++ = (uint8_t)(x < y ? p->less : (x > y ? p->greater : p->equal));
        }
    } while (thimble_broadcast_next(&row, p->dims, p->strides1, p->strides2));
}
