/* SPDX-License-Identifier: 0BSD */
#include "thimble_batch_matmul_s8.h"

#include "thimble_common.h"

/* One product of matrices; returns the end of what it wrote. */
static int8_t *multiply(const thimble_batch_matmul_s8_params *p, const int8_t *left, const int8_t *right,
                        int8_t *output) {
    for (int32_t row = 0; row < p->rows; row++) {
        for (int32_t column = 0; column < p->columns; column++) {
            const int8_t *a = left + row * p->left_row_stride;
            const int8_t *b = right + column * p->right_column_stride;
            int32_t sum = 0;
            for (int32_t d = 0; d < p->depth; d++) {
                sum += (a[d * p->left_depth_stride] - p->left_zero_point) *
                       (b[d * p->right_depth_stride] - p->right_zero_point);
            }
            const int32_t scaled = thimble_requantize(sum, p->multiplier, p->shift);
            *output++ = (int8_t)thimble_clamp(thimble_add(scaled, p->output_zero_point), INT8_MIN, INT8_MAX);
        }
    }
    return output;
}

void thimble_batch_matmul_s8(const thimble_batch_matmul_s8_params *params, const int8_t *left, const int8_t *right,
                             int8_t *output) {
    const thimble_batch_matmul_s8_params *p = params;
    for (int32_t batch = 0; batch < thimble_batch_count(p); batch++) {
        output = multiply(p, left + thimble_batch_offset(p, p->left_batch_strides, batch),
                          right + thimble_batch_offset(p, p->right_batch_strides, batch), output);
    }
}
