/* SPDX-License-Identifier: 0BSD */
#include "thimble_add_s16.h"

#include "thimble_common.h"

/* Bits that both inputs gain before they are rescaled, so that their sum keeps its precision and fits 32 bits. */
#define LEFT_SHIFT 15

static int16_t add(const thimble_add_s16_params *p, int32_t a, int32_t b) {
    const int32_t scaled1 = thimble_requantize((a - p->zero_point1) * (1 << LEFT_SHIFT), p->multiplier1, p->shift1);
    const int32_t scaled2 = thimble_requantize((b - p->zero_point2) * (1 << LEFT_SHIFT), p->multiplier2, p->shift2);
    const int32_t sum = scaled1 + p->sign * scaled2;
    const int32_t value = thimble_requantize(sum, p->output_multiplier, p->output_shift) + p->output_zero_point;
    return (int16_t)thimble_clamp(value, p->output_min, p->output_max);
}

void thimble_add_s16(const thimble_add_s16_params *params, const int16_t *input1, const int16_t *input2,
                     int16_t *output) {
    const thimble_add_s16_params *p = params;
    const int32_t count = p->dims[THIMBLE_BROADCAST_RANK - 1];
    const int32_t step1 = p->strides1[THIMBLE_BROADCAST_RANK - 1];
    const int32_t step2 = p->strides2[THIMBLE_BROADCAST_RANK - 1];
    thimble_broadcast_row row = {{0}, 0, 0};
    do {
        const int16_t *a = input1 + row.offset1;
        const int16_t *b = input2 + row.offset2;
        for (int32_t i = 0; i < count; i++) {
            *output++ = add(p, a[i * step1], b[i * step2]);
        }
    } while (thimble_broadcast_next(&row, p->dims, p->strides1, p->strides2));
}
