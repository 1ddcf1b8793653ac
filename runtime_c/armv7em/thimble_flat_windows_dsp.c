/* SPDX-License-Identifier: 0BSD */
#include "thimble_flat_windows_dsp.h"

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

/* The input with its borders, which hold the zero point. */
static void pad_input(const thimble_flat_windows_dsp_params *p, const thimble_rows *input, int8_t *padded) {
    const int32_t row_bytes = p->padded_width * p->input_channels;
    for (int32_t y = 0; y < p->padded_height; y++) {
        const int32_t line = y - p->pad_top;
        int8_t *row = padded + y * row_bytes;
        for (int32_t i = 0; i < row_bytes; i++) {
            row[i] = (int8_t)p->input_zero_point;
        }
        if (line >= 0 && line < p->input_height) {
            const int32_t room = p->padded_width - p->pad_left;
            const int32_t pixels = p->input_width < room ? p->input_width : room;
            copy(row + p->pad_left * p->input_channels, thimble_row(input, line), pixels * p->input_channels);
        }
    }
}

static inline void widen(const thimble_flat_windows_dsp_params *p, const int8_t *from, uint32_t *to, int32_t words) {
    for (; words > 0; words--) {
        const uint32_t x = thimble_load_4(from);
        to[0] = p->folded ? thimble_first_folded(x) : thimble_first_plain(x);
        to[1] = p->folded ? thimble_second_folded(x) : thimble_second_plain(x);
        from += 4;
        to += 2;
    }
}

/* The window whose first row begins at `from` as the words of one pixel, by way of its bytes where its rows are not
 * made of whole words. */
static void put_window(const thimble_flat_windows_dsp_params *p, const int8_t *from, int8_t *bytes, uint32_t *to) {
    const int32_t row_bytes = p->kernel_width * p->input_channels;
    const int32_t step = p->dilation_height * p->padded_width * p->input_channels;
    if (row_bytes % 4 == 0) {
        for (int32_t ky = 0; ky < p->kernel_height; ky++) {
            widen(p, from, to, row_bytes / 4);
            from += step;
            to += row_bytes / 2;
        }
        return;
    }
    for (int32_t ky = 0; ky < p->kernel_height; ky++) {
        copy(bytes + ky * row_bytes, from, row_bytes);
        from += step;
    }
    widen(p, bytes, to, p->depth / 4);
}

void thimble_flat_windows_dsp(const thimble_flat_windows_dsp_params *params, thimble_row_matmul_function function,
                              const thimble_rows *input, const int32_t *packed, uint32_t *scratch,
                              const thimble_rows *output, int32_t first, int32_t end) {
    const thimble_flat_windows_dsp_params *p = params;
    const thimble_wide_rows_dsp_params pixels = {
        .input_channels = p->depth,
        .kernel_height = 1,
        .kernel_width = 1,
        .stride_height = 1,
        .stride_width = 1,
        .output_width = p->windows,
        .output_channels = p->output_channels,
        .output_min = p->output_min,
        .output_max = p->output_max,
        .row_pixels = p->windows,
        .row_steps = p->row_steps,
        .folded = p->folded,
        .scale_bits = p->scale_bits,
        .rounds_ties = p->rounds_ties,
        .shift = p->shift,
        .max_tails = p->max_tails,
    };
    thimble_row_matmul_job job = thimble_make_row_matmul_job(&pixels, packed, scratch);
    uint32_t *rows = scratch + (job.rows - scratch);
    int8_t *bytes = (int8_t *)(rows + p->windows * (p->depth / 2) + 2 * p->row_steps - p->depth / 2);
    int8_t *padded = bytes + p->depth;
    int8_t *to = thimble_row(output, first);
    int32_t count = 0;
    pad_input(p, input, padded);
    for (int32_t y = first; y < end; y++) {
        for (int32_t x = 0; x < p->output_width; x++) {
            const int32_t pixel = y * p->stride_height * p->padded_width + x * p->stride_width;
            put_window(p, padded + pixel * p->input_channels, bytes, rows + count * (p->depth / 2));
            count++;
            if (count == p->windows || (y + 1 == end && x + 1 == p->output_width)) {
                thimble_run_flat_row(&pixels, function, &job, count, to);
                to += count * p->output_channels;
                count = 0;
            }
        }
    }
}
