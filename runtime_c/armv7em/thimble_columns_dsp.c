/* SPDX-License-Identifier: 0BSD */
#include "thimble_columns_dsp.h"

/* A column of a panel: word `step` of its first half lies at panel[8 * step], of its second at panel[8 * step + 4]. */

/* Bytes x0..x3 as (x1, x3) and 256 * (x0, x2) - (x1, x3) + 127: columns for folded weights. */
static void widen_folded(const int8_t *from, uint32_t *panel, int32_t words) {
    for (int32_t i = 0; i < words; i++) {
        const uint32_t x = thimble_load_4(from + 4 * i);
        const uint32_t odd = thimble_odd_bytes(x);
        panel[8 * i] = odd;
        panel[8 * i + 4] = thimble_add_lanes(thimble_subtract_lanes(x << 8 & 0xFF00FF00u, odd), 0x007F007Fu);
    }
}

/* Bytes x0..x3 as (x0, x2) and (x1, x3): columns for plain weights. */
static void widen_plain(const int8_t *from, uint32_t *panel, int32_t words) {
    for (int32_t i = 0; i < words; i++) {
        const uint32_t x = thimble_load_4(from + 4 * i);
        panel[8 * i] = thimble_even_bytes(x);
        panel[8 * i + 4] = thimble_odd_bytes(x);
    }
}

static void widen(const thimble_columns_dsp_params *p, const int8_t *from, uint32_t *panel, int32_t words) {
    if (p->folded) {
        widen_folded(from, panel, words);
    } else {
        widen_plain(from, panel, words);
    }
}

static void copy(int8_t *to, const int8_t *from, int32_t bytes) {
    for (; bytes > 0; bytes--) {
        *to++ = *from++;
    }
}

static void fill(int8_t *to, int32_t value, int32_t bytes) {
    for (; bytes > 0; bytes--) {
        *to++ = (int8_t)value;
    }
}

/* One row of a window that begins at column `left` of an input row, or outside of the input (`row` null): taps outside
 * hold the zero point. */
static void gather(const thimble_columns_dsp_params *p, const int8_t *row, int32_t left, int8_t *to) {
    const int32_t channels = p->input_channels;
    if (row == 0) {
        fill(to, p->input_zero_point, p->kernel_width * channels);
        return;
    }
    for (int32_t kx = 0; kx < p->kernel_width; kx++) {
        const int32_t x = left + kx * p->dilation_width;
        if (x >= 0 && x < p->input_width) {
            copy(to, row + x * channels, channels);
        } else {
            fill(to, p->input_zero_point, channels);
        }
        to += channels;
    }
}

/* The window whose first tap lies at (top, left) of the image that begins at row `image` as a column of the panel. */
static void make_column(const thimble_columns_dsp_params *p, const thimble_rows *input, int32_t image, int32_t top,
                        int32_t left, int8_t *window, uint32_t *panel) {
    const int32_t row_bytes = p->kernel_width * p->input_channels;
    const int inside = left >= 0 && left + p->kernel_width <= p->input_width && p->dilation_width == 1;
    const int by_rows = row_bytes % 4 == 0;
    for (int32_t ky = 0; ky < p->kernel_height; ky++) {
        const int32_t y = top + ky * p->dilation_height;
        const int8_t *row = y >= 0 && y < p->input_height ? (const int8_t *)thimble_row(input, image + y) : 0;
        if (!by_rows) {
            if (row != 0 && inside) {
                copy(window + ky * row_bytes, row + left * p->input_channels, row_bytes);
            } else {
                gather(p, row, left, window + ky * row_bytes);
            }
        } else if (row != 0 && inside) {
            widen(p, row + left * p->input_channels, panel, row_bytes / 4);
        } else {
            gather(p, row, left, window);
            widen(p, window, panel, row_bytes / 4);
        }
        panel += by_rows ? 2 * row_bytes : 0;
    }
    if (!by_rows) {
        widen(p, window, panel, p->depth / 4);
    }
}

/* Where a column lies in the panels: four columns share one. */
static uint32_t *column_place(const thimble_columns_dsp_params *p, uint32_t *panels, int32_t column) {
    return panels + column / 4 * (2 * p->depth) + column % 4;
}

void thimble_columns_dsp(const thimble_columns_dsp_params *params, thimble_matmul_function matmul,
                         const thimble_rows *input, const int32_t *packed, uint32_t *scratch,
                         const thimble_rows *output, int32_t first, int32_t end) {
    const thimble_columns_dsp_params *p = params;
    const uint32_t ceiling = (uint32_t)(255 - (p->output_max - p->output_min));
    const uint32_t offset = ((uint32_t)p->output_min - ceiling) & 0xFFu;
    int8_t *outputs[THIMBLE_MAX_COLUMNS];
    thimble_matmul_job job = {
        .panel = scratch,
        .weights = packed,
        .pair_bytes = 2 * p->depth + 32,
        .outputs = outputs,
        .channels = p->output_channels,
        .ceiling = ceiling * 0x01010101u,
        .offset = offset * 0x01010101u,
    };
    int8_t *window = (int8_t *)(scratch + p->columns * p->depth / 2);
    int32_t columns = 0;
    for (int32_t y = first; y < end; y++) {
        const int32_t image = y / p->output_height * p->input_height;
        const int32_t top = y % p->output_height * p->stride_height - p->pad_top;
        int8_t *row = thimble_row(output, y);
        for (int32_t x = 0; x < p->output_width; x++) {
            const int is_last = y + 1 == end && x + 1 == p->output_width;
            do { /* the last column is made again until its group of four is full */
                make_column(p, input, image, top, x * p->stride_width - p->pad_left, window,
                            column_place(p, scratch, columns));
                outputs[columns++] = row + x * p->output_channels;
            } while (is_last && columns % 4 != 0);
            if (columns == p->columns || is_last) {
                job.outputs_end = outputs + columns;
                matmul(&job);
                columns = 0;
            }
        }
    }
}
