/* SPDX-License-Identifier: 0BSD */
#include "thimble_arg_min_max_s8.h"

void thimble_arg_min_max_s8(const thimble_arg_min_max_s8_params *params, const int8_t *input, int32_t *output) {
    const thimble_arg_min_max_s8_params *p = params;
    const int32_t flip = p->largest != 0 ? 0 : -1; /* ~x reverses the order of x, so one comparison serves both */
    for (int32_t o = 0; o < p->outer; o++) {
        for (int32_t i = 0; i < p->inner; i++) {
            int32_t best = 0;
            int32_t best_value = input[i] ^ flip;
            for (int32_t s = 1; s < p->size; s++) {
                const int32_t value = input[s * p->inner + i] ^ flip;
                if (value > best_value) {
                    best = s;
                    best_value = value;
                }
            }
            *output++ = best;
        }
        input += p->size * p->inner;
    }
}
