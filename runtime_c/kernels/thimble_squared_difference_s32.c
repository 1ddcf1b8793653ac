/* SPDX-License-Identifier: 0BSD */
#include "thimble_squared_difference_s32.h"

static int32_t square_of_difference(int32_t a, int32_t b) {
    const uint32_t difference = (uint32_t)a - (uint32_t)b;
    return (int32_t)(difference * difference);
}

void thimble_squared_difference_s32(const thimble_squared_difference_s32_params *params, const int32_t *input1,
                                    const int32_t *input2, int32_t *output) {
    const thimble_squared_difference_s32_params *p = params;
    const int32_t count = p->dims[THIMBLE_BROADCAST_LAST];
    const int32_t step1 = p->strides1[THIMBLE_BROADCAST_LAST];
    const int32_t step2 = p->strides2[THIMBLE_BROADCAST_LAST];
    thimble_broadcast_row row = {{0}, 0, 0};
    do {
        const int32_t *a = input1 + row.offset1;
        const int32_t *b = input2 + row.offset2;
        for (int32_t i = 0; i < count; i++) {
            *output++ = square_of_difference(a[i * step1], b[i * step2]);
        }
    } while (thimble_broadcast_next(&row, p->dims, p->strides1, p->strides2));
}
