/* SPDX-License-Identifier: 0BSD */
#include "thimble_reduce_max_s8.h"

static int8_t reduced_max(const thimble_reduce_params *p, const int8_t *input) {
    int8_t max = INT8_MIN;
    for (int32_t i = 0; i < p->reduced_sizes[0]; i++) {
        for (int32_t j = 0; j < p->reduced_sizes[1]; j++) {
            const int8_t *line = input + i * p->reduced_strides[0] + j * p->reduced_strides[1];
            for (int32_t k = 0; k < p->reduced_sizes[2]; k++) {
                const int8_t value = line[k * p->reduced_strides[2]];
                max = value > max ? value : max;
            }
        }
    }
    return max;
}

void thimble_reduce_max_s8(const thimble_reduce_max_s8_params *params, const int8_t *input, int8_t *output) {
    const thimble_reduce_max_s8_params *p = params;
    for (int32_t i = 0; i < p->kept_sizes[0]; i++) {
        for (int32_t j = 0; j < p->kept_sizes[1]; j++) {
            const int8_t *line = input + i * p->kept_strides[0] + j * p->kept_strides[1];
            for (int32_t k = 0; k < p->kept_sizes[2]; k++) {
                *output++ = reduced_max(p, line + k * p->kept_strides[2]);
            }
        }
    }
}
