/* SPDX-License-Identifier: 0BSD */
#include "thimble_batch_matmul_mve.h"

#include "thimble_four_sums_mve.h"
#include "thimble_requantize_mve.h"

#define LANES 16
#define COLUMNS 4

/* The sum of (a - left zero point) * (b - right zero point) from that of a * b: what depends on the column alone. */
static int32_t start_of(const thimble_batch_matmul_params *m, const int8_t *column, int32_t steps) {
    const int8x16_t ones = vdupq_n_s8(1);
    int32_t sum = 0;
    for (int32_t step = 0; step < steps; step++) {
        sum = vmladavaq_s8(sum, ones, vldrbq_s8(column + step * COLUMNS * LANES));
    }
    return m->left_zero_point * (m->depth * m->right_zero_point - sum);
}

/* Values of a line that lie `stride` apart, the next `apart` bytes behind 16 of them. */
static void gather(int8_t *to, const int8_t *from, int32_t stride, int32_t count, int32_t apart) {
    for (int32_t first = 0; first < count; first += LANES) {
        const int32_t left = count - first < LANES ? count - first : LANES;
        if (stride == 1) {
            thimble_copy_mve(to, from, left);
        } else {
            for (int32_t i = 0; i < left; i++) {
                to[i] = from[i * stride];
            }
        }
        from += LANES * stride;
        to += apart;
    }
}

/* Four columns that lie side by side. */
static void scatter_four(int8_t *to, const int8_t *from, int32_t stride, int32_t depth) {
    const uint32x4_t places = vidupq_n_u32(0, 1);
    const uint32x4_t offsets = vmulq_n_u32(places, LANES);
    for (int32_t d = 0; d < depth; d++) {
        vstrbq_scatter_offset_s32(to + d / LANES * (COLUMNS * LANES) + d % LANES, offsets, vldrbq_s32(from));
        from += stride;
    }
}

/* Four columns, or `count` of them: (steps, 4, 16), filled up with zeros. */
static void lay_out(const thimble_batch_matmul_params *m, const int8_t *from, int32_t count, int8_t *to) {
    const int32_t steps = (m->depth + LANES - 1) / LANES;
    thimble_fill_mve(to, 0, steps * COLUMNS * LANES);
    if (m->right_column_stride == 1 && count == COLUMNS) {
        scatter_four(to, from, m->right_depth_stride, m->depth);
        return;
    }
    for (int32_t i = 0; i < count; i++) {
        gather(to + i * LANES, from + i * m->right_column_stride, m->right_depth_stride, m->depth, COLUMNS * LANES);
    }
}

/* A row by the columns that are laid out. */
static void multiply_row(const thimble_batch_matmul_params *m, const int8_t *row, const int32_t *starts,
                         const int8_t *laid_out, int32_t columns, int8_t *output) {
    const thimble_form_mve form = {1, 1, 1}; /* all cases: few outputs for many products */
    const int32_t steps = (m->depth - 1) / LANES;
    const int8x16_t ones = vdupq_n_s8(1);
    int8_t last[LANES] = {0}; /* the end of the row, filled up */
    thimble_copy_mve(last, row + LANES * steps, m->depth - LANES * steps);
    int32_t sum = vmladavaq_s8(0, ones, vldrbq_s8(last));
    for (int32_t step = 0; step < steps; step++) {
        sum = vmladavaq_s8(sum, ones, vldrbq_s8(row + LANES * step));
    }
    for (int32_t column = 0; column < columns; column += COLUMNS) {
        const int32x4_t products = thimble_four_sums_mve(row, steps, last, &laid_out);
        const int32x4_t without = vaddq_n_s32(vldrwq_s32(starts + column), -m->right_zero_point * sum);
        const int32x4_t scaled = thimble_scale_channel_mve(form, vaddq_s32(products, without), m->multiplier, m->shift);
        const int32x4_t placed = vaddq_n_s32(scaled, m->output_zero_point);
        const int32x4_t values = vminq_s32(vmaxq_s32(placed, vdupq_n_s32(INT8_MIN)), vdupq_n_s32(INT8_MAX));
        vstrbq_p_s32(output + column, values, vctp32q((uint32_t)(columns - column)));
    }
}

void thimble_batch_matmul_mve(const thimble_batch_matmul_mve_params *params, const int8_t *left, const int8_t *right,
                              int32_t *scratch, int8_t *output) {
    const thimble_batch_matmul_params *m = &params->matmul;
    const int32_t steps = (m->depth + LANES - 1) / LANES;
    int8_t *laid_out = (int8_t *)(scratch + params->columns_at_once);
    int8_t *row_copy = laid_out + params->columns_at_once * steps * LANES;
    for (int32_t batch = 0; batch < thimble_batch_count(m); batch++) {
        const int8_t *own_left = left + thimble_batch_offset(m, m->left_batch_strides, batch);
        const int8_t *own_right = right + thimble_batch_offset(m, m->right_batch_strides, batch);
        for (int32_t first = 0; first < m->columns; first += params->columns_at_once) {
            const int32_t left_over = m->columns - first;
            const int32_t columns = left_over < params->columns_at_once ? left_over : params->columns_at_once;
            for (int32_t column = 0; column < columns; column += COLUMNS) {
                const int32_t count = columns - column < COLUMNS ? columns - column : COLUMNS;
                int8_t *block = laid_out + column * steps * LANES;
                lay_out(m, own_right + (first + column) * m->right_column_stride, count, block);
                for (int32_t i = 0; i < COLUMNS; i++) {
                    scratch[column + i] = start_of(m, block + i * LANES, steps);
                }
            }
            for (int32_t row = 0; row < m->rows; row++) {
                const int8_t *given = own_left + row * m->left_row_stride;
                if (m->left_depth_stride != 1) {
                    gather(row_copy, given, m->left_depth_stride, m->depth, LANES);
                    given = row_copy;
                }
                multiply_row(m, given, scratch, laid_out, columns, output + row * m->columns + first);
            }
        }
        output += m->rows * m->columns;
    }
}
