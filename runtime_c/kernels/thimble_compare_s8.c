/* SPDX-License-Identifier: 0BSD */
#include "thimble_compare_s8.h"

#include "thimble_common.h"

/* Bits that both inputs gain before they are brought to the scale 1. */
#define LEFT_SHIFT 8

static uint8_t compare(const thimble_compare_s8_params *p, int32_t a, int32_t b) {
    const int32_t scaled1 = thimble_requantize((a - p->zero_point1) * (1 << LEFT_SHIFT), p->multiplier1, p->shift1);
    const int32_t scaled2 = thimble_requantize((b - p->zero_point2) * (1 << LEFT_SHIFT), p->multiplier2, p->shift2);
    return (uint8_t)(scaled1 < scaled2 ? p->less : (scaled1 > scaled2 ? p->greater : p->equal));
}

void thimble_compare_s8(const thimble_compare_s8_params *params, const int8_t *input1, const int8_t *input2,
                        uint8_t *output) {
    const thimble_compare_s8_params *p = params;
    const int32_t count = p->dims[THIMBLE_BROADCAST_LAST];
    const int32_t step1 = p->strides1[THIMBLE_BROADCAST_LAST];
    const int32_t step2 = p->strides2[THIMBLE_BROADCAST_LAST];
    thimble_broadcast_row row = {{0}, 0, 0};
    do {
        const int8_t *a = input1 + row.offset1;
        const int8_t *b = input2 + row.offset2;
        for (int32_t i = 0; i < count; i++) {
            *output++ = compare(p, a[i * step1], b[i * step2]);
        }
    } while (thimble_broadcast_next(&row, p->dims, p->strides1, p->strides2));
}
