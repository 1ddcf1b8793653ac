/* SPDX-License-Identifier: 0BSD */
#include "thimble_extremum_s8.h"

void thimble_extremum_s8(const thimble_extremum_s8_params *params, const int8_t *input1, const int8_t *input2,
                         int8_t *output) {
    const thimble_extremum_s8_params *p = params;
    const int32_t count = p->dims[THIMBLE_BROADCAST_LAST];
    const int32_t step1 = p->strides1[THIMBLE_BROADCAST_LAST];
    const int32_t step2 = p->strides2[THIMBLE_BROADCAST_LAST];
    thimble_broadcast_row row = {{0}, 0, 0};
    do {
        const int8_t *a = input1 + row.offset1;
        const int8_t *b = input2 + row.offset2;
        for (int32_t i = 0; i < count; i++) {
            const int8_t x = a[i * step1];
            const int8_t y = b[i * step2];
            *output++ = (x > y) == (p->take_larger != 0) ? x : y;
        }
    } while (thimble_broadcast_next(&row, p->dims, p->strides1, p->strides2));
}
