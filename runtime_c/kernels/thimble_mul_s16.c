/* SPDX-License-Identifier: 0BSD */
#include "thimble_mul_s16.h"

void thimble_mul_s16(const thimble_mul_s16_params *params, const int16_t *input1, const int16_t *input2,
                     int16_t *output) {
    const thimble_mul_s16_params *p = params;
    const int32_t count = p->dims[THIMBLE_BROADCAST_LAST];
    const int32_t step1 = p->strides1[THIMBLE_BROADCAST_LAST];
    const int32_t step2 = p->strides2[THIMBLE_BROADCAST_LAST];
    thimble_broadcast_row row = {{0}, 0, 0};
    do {
        const int16_t *a = input1 + row.offset1;
        const int16_t *b = input2 + row.offset2;
        for (int32_t i = 0; i < count; i++) {
            *output++ = (int16_t)thimble_mul_values(p, a[i * step1], b[i * step2]);
        }
    } while (thimble_broadcast_next(&row, p->dims, p->strides1, p->strides2));
}
