/* SPDX-License-Identifier: 0BSD */
#include "thimble_mul_s32.h"

#include "thimble_common.h"

static int32_t product(int32_t a, int32_t b) {
    return (int32_t)((uint32_t)a * (uint32_t)b);
}

void thimble_mul_s32(const thimble_mul_s32_params *params, const int32_t *input1, const int32_t *input2,
                     int32_t *output) {
    const thimble_mul_s32_params *p = params;
    const int32_t count = p->dims[THIMBLE_BROADCAST_LAST];
    const int32_t step1 = p->strides1[THIMBLE_BROADCAST_LAST];
    const int32_t step2 = p->strides2[THIMBLE_BROADCAST_LAST];
    thimble_broadcast_row row = {{0}, 0, 0};
    do {
        const int32_t *a = input1 + row.offset1;
        const int32_t *b = input2 + row.offset2;
        for (int32_t i = 0; i < count; i++) {
            *output++ = thimble_clamp(product(a[i * step1], b[i * step2]), p->output_min, p->output_max);
        }
    } while (thimble_broadcast_next(&row, p->dims, p->strides1, p->strides2));
}
