/* SPDX-License-Identifier: 0BSD */
#include "thimble_tanh_s16.h"

#include "thimble_sigmoid.h"

void thimble_tanh_s16(const thimble_tanh_s16_params *params, const int16_t *input, const int16_t *sigmoid,
                      int16_t *output) {
    const thimble_tanh_s16_params *p = params;
    const int32_t half = p->shift > 0 ? (int32_t)1 << (p->shift - 1) : 0;
    for (int32_t i = 0; i < p->size; i++) {
        output[i] = thimble_tanh_q15(sigmoid, (input[i] * p->multiplier + half) >> p->shift);
    }
}
