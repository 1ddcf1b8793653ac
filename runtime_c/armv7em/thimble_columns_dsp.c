/* SPDX-License-Identifier: 0BSD */
#include "thimble_columns_dsp.h"

/* Code for borders stays out of the loops for the inside, which then fit small instruction caches. */
#define SELDOM __attribute__((noinline))

/* From one step of a column to the next, in words: of a column in a group of four, and of one that is made alone. */
#define THIMBLE_GROUP_PITCH 8
#define THIMBLE_SINGLE_PITCH 2

/* `words` words of four bytes into a column that is made alone: its words lie one behind the other. */
static SELDOM void widen_single(int32_t folded, const int8_t *from, uint32_t *column, int32_t words) {
    for (; words > 0; words--) {
        thimble_put_word(folded, column, thimble_load_4(from));
        from += 4;
        column += 2;
    }
}

/* `words` words of four bytes into a column whose words lie `pitch` words apart: of a group, four at a time where there
 * are as many. */
static inline void widen(int32_t folded, const int8_t *from, uint32_t *panel, int32_t words, int32_t pitch) {
    if (pitch == THIMBLE_SINGLE_PITCH) {
        widen_single(folded, from, panel, words);
        return;
    }
    if (!folded) {
        for (; words > 0; words--) {
            thimble_put_grouped_word(0, panel, thimble_load_4(from));
            from += 4;
            panel += 8;
        }
        return;
    }
    for (; words >= 4; words -= 4) {
        thimble_put_grouped_word(1, panel, thimble_load_4(from));
        thimble_put_grouped_word(1, panel + 8, thimble_load_4(from + 4));
        thimble_put_grouped_word(1, panel + 16, thimble_load_4(from + 8));
        thimble_put_grouped_word(1, panel + 24, thimble_load_4(from + 12));
        from += 16;
        panel += 32;
    }
    for (; words > 0; words--) {
        thimble_put_grouped_word(1, panel, thimble_load_4(from));
        from += 4;
        panel += 8;
    }
}

static inline void copy(int8_t *to, const int8_t *from, int32_t bytes) {
    for (; bytes >= 4; bytes -= 4) {
        thimble_store_4(to, thimble_load_4(from));
        to += 4;
        from += 4;
    }
    for (; bytes > 0; bytes--) {
        *to++ = *from++;
    }
}

static SELDOM void fill(int8_t *to, int32_t value, int32_t bytes) {
    const uint32_t word = ((uint32_t)value & 0xFFu) * 0x01010101u;
    for (; bytes >= 4; bytes -= 4) {
        thimble_store_4(to, word);
        to += 4;
    }
    if ((bytes & 2) != 0) { /* a loop would become a call of memset */
        *to++ = (int8_t)value;
        *to++ = (int8_t)value;
    }
    if ((bytes & 1) != 0) {
        *to = (int8_t)value;
    }
}

/* One row of a window that begins at column `left` of an input row, or outside of the input (`row` null): taps outside
 * hold the zero point. */
static SELDOM void gather(const thimble_columns_dsp_params *p, const int8_t *row, int32_t left, int8_t *to) {
    const int32_t channels = p->input_channels;
    const int32_t width = p->window.kernel_width;
    if (row == 0) {
        fill(to, p->input_zero_point, width * channels);
        return;
    }
    if (p->dilation_width == 1) { /* neighbours in one piece, with the borders on both sides */
        const int32_t right = left + width;
        const int32_t before = left >= 0 ? 0 : (left > -width ? -left : width);
        const int32_t after = right <= p->window.input_width
                                  ? 0
                                  : (right - p->window.input_width < width ? right - p->window.input_width : width);
        const int32_t inside = width - before - after;
        fill(to, p->input_zero_point, before * channels);
        if (inside > 0) {
            copy(to + before * channels, row + (left + before) * channels, inside * channels);
        }
        fill(to + (width - after) * channels, p->input_zero_point, after * channels);
        return;
    }
    for (int32_t kx = 0; kx < width; kx++) {
        const int32_t x = left + kx * p->dilation_width;
        if (x >= 0 && x < p->window.input_width) {
            copy(to, row + x * channels, channels);
        } else {
            fill(to, p->input_zero_point, channels);
        }
        to += channels;
    }
}

/* The input rows under the windows of one output row; null where they lie outside of the input. */
static int find_lines(const thimble_columns_dsp_params *p, const thimble_rows *input, int32_t y, const int8_t **lines) {
    const int32_t image = thimble_image(p->window, y);
    int32_t line = thimble_window_top(p->window, y);
    int all_inside = 1;
    for (int32_t ky = 0; ky < p->window.kernel_height; ky++) {
        const int inside = line >= 0 && line < p->window.input_height;
        lines[ky] = inside ? (const int8_t *)thimble_row(input, image + line) : 0;
        all_inside = all_inside && inside;
        line += p->dilation_height;
    }
    return all_inside;
}

/* A window that lies inside of the input, its rows made of whole words, as a column. */
static __attribute__((noinline)) void inner_column(const thimble_columns_dsp_params *p, const int8_t *const *lines,
                                                   int32_t left, uint32_t *column, int32_t pitch) {
    const int32_t row_bytes = p->window.kernel_width * p->input_channels;
    const int32_t from = left * p->input_channels;
    for (int32_t ky = 0; ky < p->window.kernel_height; ky++) {
        widen(p->folded, lines[ky] + from, column, row_bytes / 4, pitch);
        column += row_bytes / 4 * pitch;
    }
}

/* A window that lies inside of the input as a column, by way of its bytes in `window`. */
static __attribute__((noinline)) void copied_column(const thimble_columns_dsp_params *p, const int8_t *const *lines,
                                                    int32_t left, int8_t *window, uint32_t *column, int32_t pitch) {
    const int32_t row_bytes = p->window.kernel_width * p->input_channels;
    int8_t *to = window;
    for (int32_t ky = 0; ky < p->window.kernel_height; ky++) {
        copy(to, lines[ky] + left * p->input_channels, row_bytes);
        to += row_bytes;
    }
    widen(p->folded, window, column, p->depth / 4, pitch);
}

/* Any window as a column, by way of its bytes in `window`. */
static SELDOM void outer_column(const thimble_columns_dsp_params *p, const int8_t *const *lines, int32_t left,
                                int8_t *window, uint32_t *column, int32_t pitch) {
    for (int32_t ky = 0; ky < p->window.kernel_height; ky++) {
        gather(p, lines[ky], left, window + ky * p->window.kernel_width * p->input_channels);
    }
    widen(p->folded, window, column, p->depth / 4, pitch);
}

void thimble_columns_dsp(const thimble_columns_dsp_params *params, thimble_matmul_function matmul,
                         const thimble_rows *input, const int32_t *packed, uint32_t *scratch,
                         const thimble_rows *output, int32_t first, int32_t end) {
    const thimble_columns_dsp_params *p = params;
    const int32_t last_inside = p->window.input_width - p->window.kernel_width;
    const int by_words = p->window.kernel_width * p->input_channels % 4 == 0;
    int8_t *outputs[THIMBLE_MAX_COLUMNS];
    const int8_t *lines[THIMBLE_MAX_KERNEL_HEIGHT];
    thimble_matmul_job job = thimble_columns_job(p, packed, scratch);
    job.outputs = outputs;
    int8_t *window = (int8_t *)(scratch + p->columns * p->depth / 2);
    int32_t columns = 0;
    int32_t left_over = (end - first) * p->window.output_width;
    int32_t wanted = thimble_columns_portion(p, left_over);
    for (int32_t y = first; y < end; y++) {
        const int inner_row = find_lines(p, input, y, lines) && p->dilation_width == 1;
        int8_t *row = thimble_row(output, y);
        int32_t left = -p->window.pad_left;
        for (int32_t x = 0; x < p->window.output_width; x++) {
            const int is_last = y + 1 == end && x + 1 == p->window.output_width;
            do { /* the last column is made again where its group is not full */
                const int grouped = columns < wanted / 4 * 4;
                const int32_t pitch = grouped ? THIMBLE_GROUP_PITCH : THIMBLE_SINGLE_PITCH;
                uint32_t *column =
                    scratch + (grouped ? columns / 4 * (2 * p->depth) + columns % 4 : columns * (p->depth / 2));
                if (inner_row && left >= 0 && left <= last_inside && by_words) {
                    inner_column(p, lines, left, column, pitch);
                } else if (inner_row && left >= 0 && left <= last_inside) {
                    copied_column(p, lines, left, window, column, pitch);
                } else {
                    outer_column(p, lines, left, window, column, pitch);
                }
                outputs[columns++] = row;
            } while (is_last && columns < wanted);
            if (columns == wanted) {
                job.outputs_end = outputs + columns / 4 * 4;
                job.tails_end = outputs + columns;
                matmul(&job);
                left_over -= wanted;
                wanted = thimble_columns_portion(p, left_over);
                columns = 0;
            }
            row += p->output_channels;
            left += p->window.stride_width;
        }
    }
}

/* One row of a window as a column of a panel, by way of its bytes in `window` where it reaches over a border. */
static void part_column(const thimble_columns_dsp_params *p, const int8_t *row, int32_t left, int8_t *window,
                        uint32_t *column) {
    const int32_t words = p->window.kernel_width * p->input_channels / 4;
    const int is_inside = row != 0 && left >= 0 && left <= p->window.input_width - p->window.kernel_width;
    const int8_t *from = window;
    if (is_inside && p->dilation_width == 1) {
        from = row + left * p->input_channels;
    } else {
        gather(p, row, left, window);
    }
    widen(p->folded, from, column, words, THIMBLE_GROUP_PITCH);
}

/* The input row under row `ky` of the windows of output row y; null outside of the input. */
static const int8_t *find_line(const thimble_columns_dsp_params *p, const thimble_rows *input, int32_t y, int32_t ky) {
    const int32_t line = thimble_window_top(p->window, y) + ky * p->dilation_height;
    const int inside = line >= 0 && line < p->window.input_height;
    return inside ? (const int8_t *)thimble_row(input, thimble_image(p->window, y) + line) : 0;
}

void thimble_partial_columns_dsp(const thimble_columns_dsp_params *params, thimble_partial_matmul_function matmul,
                                 const thimble_rows *input, const int32_t *packed, uint32_t *scratch,
                                 const thimble_rows *output, int32_t first, int32_t end) {
    const thimble_columns_dsp_params *p = params;
    const int32_t row_bytes = p->window.kernel_width * p->input_channels;
    const uint32_t ceiling = (uint32_t)(255 - (p->output_max - p->output_min));
    const uint32_t offset = ((uint32_t)p->output_min - ceiling) & 0xFFu;
    int8_t *outputs[4];
    int32_t rows[4];
    int32_t lefts[4];
    thimble_partial_matmul_job job = {
        .panel = scratch,
        .weights = packed,
        .pair_bytes = 2 * p->depth + thimble_pair_constants_bytes(p->shift),
        .part_bytes = 2 * row_bytes,
        .sums = (int32_t *)(scratch + 2 * row_bytes),
        .outputs = outputs,
        .channels = p->output_channels,
        .ceiling = ceiling * 0x01010101u,
        .offset = offset * 0x01010101u,
    };
    int8_t *window = (int8_t *)(job.sums + (p->output_channels + 1) / 2 * 8);
    int32_t y = first;
    int32_t x = 0;
    for (int32_t pixels = (end - first) * p->window.output_width; pixels > 0; pixels -= 4) {
        for (int32_t i = 0; i < 4; i++) { /* behind the last pixel comes the last one again */
            outputs[i] = (int8_t *)thimble_row(output, y) + x * p->output_channels;
            rows[i] = y;
            lefts[i] = thimble_window_left(p->window, x);
            if (x + 1 < p->window.output_width) {
                x++;
            } else if (y + 1 < end) {
                x = 0;
                y++;
            }
        }
        for (int32_t ky = 0; ky < p->window.kernel_height; ky++) {
            for (int32_t i = 0; i < 4; i++) {
                part_column(p, find_line(p, input, rows[i], ky), lefts[i], window, scratch + i);
            }
            job.part_offset = ky * job.part_bytes;
            matmul(&job);
        }
    }
}
