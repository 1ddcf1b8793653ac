/* SPDX-License-Identifier: 0BSD */
#include "thimble_reduce_sum_s8.h"

#include "thimble_common.h"

/* Sum of x - zero_point over the reduced elements, modulo 2^32. */
static int32_t reduced_sum(const thimble_reduce_sum_params *p, const int8_t *input) {
    int32_t sum = 0;
    for (int32_t i = 0; i < p->reduced_sizes[0]; i++) {
        for (int32_t j = 0; j < p->reduced_sizes[1]; j++) {
            const int8_t *line = input + i * p->reduced_strides[0] + j * p->reduced_strides[1];
            for (int32_t k = 0; k < p->reduced_sizes[2]; k++) {
                sum = thimble_add(sum, line[k * p->reduced_strides[2]] - p->input_zero_point);
            }
        }
    }
    return sum;
}

void thimble_reduce_sum_s8(const thimble_reduce_sum_s8_params *params, const int8_t *input, int8_t *output) {
    const thimble_reduce_sum_params *p = params;
    for (int32_t i = 0; i < p->kept_sizes[0]; i++) {
        for (int32_t j = 0; j < p->kept_sizes[1]; j++) {
            const int8_t *line = input + i * p->kept_strides[0] + j * p->kept_strides[1];
            for (int32_t k = 0; k < p->kept_sizes[2]; k++) {
                const int32_t sum = reduced_sum(p, line + k * p->kept_strides[2]);
                const int32_t scaled = thimble_requantize(sum, p->multiplier, p->shift);
                const int32_t value = thimble_add(scaled, p->output_zero_point);
                *output++ = (int8_t)thimble_clamp(value, INT8_MIN, INT8_MAX);
            }
        }
    }
}
