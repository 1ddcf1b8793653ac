/* SPDX-License-Identifier: 0BSD */
#include "thimble_add_s32.h"

#include "thimble_common.h"

void thimble_add_s32(const thimble_add_s32_params *params, const int32_t *input1, const int32_t *input2,
                     int32_t *output) {
    const thimble_add_s32_params *p = params;
    const int32_t count = p->dims[THIMBLE_BROADCAST_LAST];
    const int32_t step1 = p->strides1[THIMBLE_BROADCAST_LAST];
    const int32_t step2 = p->strides2[THIMBLE_BROADCAST_LAST];
    const uint32_t sign = (uint32_t)p->sign;
    thimble_broadcast_row row = {{0}, 0, 0};
    do {
        const int32_t *a = input1 + row.offset1;
        const int32_t *b = input2 + row.offset2;
        for (int32_t i = 0; i < count; i++) {
            *output++ = thimble_clamp(thimble_add(a[i * step1], (int32_t)(sign * (uint32_t)b[i * step2])),
                                      p->output_min, p->output_max);
        }
    } while (thimble_broadcast_next(&row, p->dims, p->strides1, p->strides2));
}
