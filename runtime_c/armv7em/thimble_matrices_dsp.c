/* SPDX-License-Identifier: 0BSD */
#include "thimble_matrices_dsp.h"

#include "thimble_common.h"
#include "thimble_dsp.h"

#define ROWS 2
#define COLUMNS 4

/* Rows of the left matrix, or columns of the right one: `count` of them, at most as many as there are places for. */
typedef struct {
    const int8_t *from;
    int32_t count;
    int32_t stride;
    int32_t depth_stride;
    uint32_t minus; /* two lanes less the zero point */
} lines;

/* Values d..d+3 of one line as words (d, d + 2) and (d + 1, d + 3), without the zero point. */
static void put_four(uint32_t word, uint32_t minus, int32_t places, uint32_t *to) {
    to[0] = thimble_add_even_bytes(minus, word);
    to[places] = thimble_add_odd_bytes(minus, word);
}

/* `count` values of a line, 1 to 4, and the zero point behind them. */
static uint32_t gather(const lines *l, const int8_t *from, int32_t count) {
    uint32_t word = ((0u - l->minus) & 0xFFu) * 0x01010101u;
    for (int32_t at = 0; at < 8 * count; at += 8) {
        word = (word & ~((uint32_t)0xFF << at)) | (uint32_t)(uint8_t)*from << at;
        from += l->depth_stride;
    }
    return word;
}

/* Four values of a line that lie apart. */
static uint32_t gather_four(const int8_t *from, int32_t stride) {
    const uint32_t low = (uint32_t)(uint8_t)from[0] | (uint32_t)(uint8_t)from[stride] << 8;
    from += 2 * stride;
    return low | (uint32_t)(uint8_t)from[0] << 16 | (uint32_t)(uint8_t)from[stride] << 24;
}

/* Values d..d+3 of four columns that lie side by side, from d on at `from`. */
static void put_square(const lines *l, const int8_t *from, uint32_t *to) {
    for (int32_t i = 0; i < 2; i++) {
        const uint32_t near = thimble_load_4(from + i * l->depth_stride);
        const uint32_t far = thimble_load_4(from + (i + 2) * l->depth_stride);
        const uint32_t even = thimble_add_even_bytes(l->minus, near);
        const uint32_t odd = thimble_add_odd_bytes(l->minus, near);
        const uint32_t far_even = thimble_add_even_bytes(l->minus, far);
        const uint32_t far_odd = thimble_add_odd_bytes(l->minus, far);
        to[0] = thimble_low_lanes(even, far_even);
        to[1] = thimble_low_lanes(odd, far_odd);
        to[2] = thimble_high_lanes(even, far_even);
        to[3] = thimble_high_lanes(odd, far_odd);
        to += COLUMNS;
    }
}

/* One line, as far as it is in fours. */
static void lay_out_line(const lines *l, const int8_t *from, int32_t depth, int32_t places, uint32_t *to) {
    if (l->depth_stride == 1) {
        for (int32_t d = 4; d <= depth; d += 4) {
            put_four(thimble_load_4(from), l->minus, places, to);
            from += 4;
            to += 2 * places;
        }
        return;
    }
    for (int32_t d = 4; d <= depth; d += 4) {
        put_four(gather_four(from, l->depth_stride), l->minus, places, to);
        from += 4 * l->depth_stride;
        to += 2 * places;
    }
}

/* Lines as words in `places`, for each step one behind the other; places beyond the last line hold it again. */
static void lay_out(const lines *l, int32_t depth, int32_t places, uint32_t *to) {
    const int32_t rest = depth % 4, whole = depth - rest;
    const int square = l->stride == 1 && places == COLUMNS && l->count == COLUMNS;
    for (int32_t d = 0; square && d < whole; d += 4) {
        put_square(l, l->from + d * l->depth_stride, to + d / 2 * COLUMNS);
    }
    for (int32_t place = 0; place < places; place++) {
        const int8_t *line = l->from + (place < l->count ? place : l->count - 1) * l->stride;
        if (!square) {
            lay_out_line(l, line, depth, places, to + place);
        }
        if (rest > 0) {
            const uint32_t last = gather(l, line + whole * l->depth_stride, rest);
            put_four(last, l->minus, places, to + whole / 2 * places + place);
        }
    }
}

#if !defined(__ARM_FEATURE_DSP)

static int8_t output_of(const thimble_matrices_dsp_params *p, int32_t sum) {
    const int32_t scaled = sum * ((int32_t)1 << p->scale_bits);
    const int32_t tie = p->rounds_ties && sum < 0 ? (int32_t)1 << (p->scale_bits - 1) : 0;
    const int32_t value = thimble_high_product(scaled, p->constants[0]) + p->constants[1] - tie;
    return (int8_t)thimble_clamp(value >> p->last_shift, INT8_MIN, INT8_MAX);
}

/* The portable twin of the generated functions. */
static uint64_t outputs_portable(const thimble_matrices_dsp_params *p, const uint32_t *rows, const uint32_t *columns,
                                 const uint32_t *rows_end) {
    uint64_t outputs = 0;
    for (int32_t i = 0; i < ROWS * COLUMNS; i++) {
        int32_t sum = 0;
        for (int32_t at = 0; rows + ROWS * at != rows_end; at++) {
            const uint32_t row = rows[ROWS * at + i / COLUMNS], column = columns[COLUMNS * at + i % COLUMNS];
            sum += thimble_low(row) * thimble_low(column) + thimble_high(row) * thimble_high(column);
        }
        outputs |= (uint64_t)(uint8_t)output_of(p, sum) << (8 * i);
    }
    return outputs;
}

#endif

/* Four outputs of a row, or `count` of them. */
static void put_outputs(int8_t *to, uint32_t bytes, int32_t count) {
    if (count >= COLUMNS) {
        thimble_store_4(to, bytes);
        return;
    }
    for (int32_t i = 0; i < count; i++) {
        to[i] = (int8_t)(bytes >> (8 * i) & 0xFFu);
    }
}

/* All rows by the `columns` that are laid out, whose outputs begin at `output`. */
static void multiply(const thimble_matrices_dsp_params *p, thimble_matrices_function function, const int8_t *left,
                     const uint32_t *laid_out, int32_t columns, uint32_t *rows, int8_t *output) {
    const thimble_batch_matmul_params *m = &p->matmul;
    const int32_t steps = (m->depth + 3) / 4 * 2;
    const uint32_t minus = thimble_pair(-m->left_zero_point, -m->left_zero_point);
#if !defined(__ARM_FEATURE_DSP)
    (void)function;
#endif
    for (int32_t row = 0; row < m->rows; row += ROWS) {
        const int32_t count = m->rows - row < ROWS ? m->rows - row : ROWS;
        const lines given = {left + row * m->left_row_stride, count, m->left_row_stride, m->left_depth_stride, minus};
        lay_out(&given, m->depth, ROWS, rows);
        const uint32_t *block = laid_out;
        for (int32_t column = 0; column < columns; column += COLUMNS) {
#if defined(__ARM_FEATURE_DSP)
            const uint64_t outputs = function(rows, block, rows + ROWS * steps, p->constants);
#else
            const uint64_t outputs = outputs_portable(p, rows, block, rows + ROWS * steps);
#endif
            put_outputs(output + column, (uint32_t)(outputs & 0xFFFFFFFFu), columns - column);
            if (count == ROWS) {
                put_outputs(output + m->columns + column, (uint32_t)(outputs >> 32), columns - column);
            }
            block += COLUMNS * steps;
        }
        output += ROWS * m->columns;
    }
}

void thimble_matrices_dsp(const thimble_matrices_dsp_params *params, thimble_matrices_function function,
                          const int8_t *left, const int8_t *right, uint32_t *scratch, int8_t *output) {
    const thimble_matrices_dsp_params *p = params;
    const thimble_batch_matmul_params *m = &p->matmul;
    const int32_t steps = (m->depth + 3) / 4 * 2;
    const uint32_t minus = thimble_pair(-m->right_zero_point, -m->right_zero_point);
    uint32_t *rows = scratch + p->columns_at_once * steps;
    for (int32_t batch = 0; batch < thimble_batch_count(m); batch++) {
        const int8_t *own_left = left + thimble_batch_offset(m, m->left_batch_strides, batch);
        const int8_t *own_right = right + thimble_batch_offset(m, m->right_batch_strides, batch);
        for (int32_t first = 0; first < m->columns; first += p->columns_at_once) {
            const int32_t left_over = m->columns - first;
            const int32_t columns = left_over < p->columns_at_once ? left_over : p->columns_at_once;
            for (int32_t column = 0; column < columns; column += COLUMNS) {
                const int32_t count = columns - column < COLUMNS ? columns - column : COLUMNS;
                const lines given = {own_right + (first + column) * m->right_column_stride, count,
                                     m->right_column_stride, m->right_depth_stride, minus};
                lay_out(&given, m->depth, COLUMNS, scratch + column * steps);
            }
            multiply(p, function, own_left, scratch, columns, rows, output + first);
        }
        output += m->rows * m->columns;
    }
}
