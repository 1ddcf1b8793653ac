/* SPDX-License-Identifier: 0BSD */
#include "thimble_quantize_dsp.h"

#include <string.h>

/* How near to a half, in units of 2^-16, the division decides. Below 512, quotient and product with the inverse differ
 * by less than 512 * 2^-22 = 8 * 2^-16. */
#define NEAR_HALF 16u

/* A function of its own, so that the loop has all registers. */
static __attribute__((noinline)) int8_t divide(const thimble_quantize_dsp_params *p, float x) {
    const thimble_quantize_params plain = {p->count, p->scale, p->zero_point};
    return (int8_t)thimble_quantize_value(&plain, x, INT8_MIN, INT8_MAX);
}

void thimble_quantize_dsp(const thimble_quantize_dsp_params *params, const float *input, int8_t *output) {
    const thimble_quantize_dsp_params p = *params;
    int8_t *const end = output + p.count;
    for (; output < end; output++) {
        const float x = *input++;
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        int8_t byte;
        if ((bits & 0x7FFFFFFFu) <= p.largest_bits) { /* no NaN either */
            const int32_t raised = (int32_t)(x * p.inverse) + (1 << 15);
            const uint32_t rest = (uint32_t)raised & 0xFFFFu;
            if (rest - NEAR_HALF <= 0xFFFFu - 2 * NEAR_HALF) {
                byte = (int8_t)thimble_clamp((raised >> 16) + p.zero_point, INT8_MIN, INT8_MAX);
            } else {
                byte = divide(params, x);
            }
        } else {
            byte = divide(params, x);
        }
        *output = byte;
    }
}
