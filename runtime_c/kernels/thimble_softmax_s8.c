/* SPDX-License-Identifier: 0BSD */
#include "thimble_softmax_s8.h"

#include "thimble_softmax.h"

void thimble_softmax_s8(const thimble_softmax_s8_params *params, const int8_t *input, const int32_t *exponentials,
                        int8_t *output) {
    const thimble_softmax_s8_params *p = params;
    for (int32_t n = 0; n < p->rows; n++) {
        const int32_t max = thimble_softmax_max(input, p->depth);
        const thimble_softmax_scale scale = thimble_softmax_row(input, p->depth, max, exponentials, p->table_size);
        const int exponent = scale.bits_over_unit + 31 - 8;
        for (int32_t i = 0; i < p->depth; i++) {
            const int32_t value = thimble_softmax_exp(exponentials, p->table_size, max - *input++);
            const int32_t product = thimble_doubling_high_mul(scale.value, value);
            const int32_t scaled = exponent > 31 ? 0 : thimble_rounding_shift_right(product, exponent);
            *output++ = (int8_t)thimble_clamp(scaled + INT8_MIN, INT8_MIN, INT8_MAX);
        }
    }
}
