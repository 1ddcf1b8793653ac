/* SPDX-License-Identifier: 0BSD */
#include "thimble_flat_windows_dsp.h"

static inline void copy_16(int8_t *to, const int8_t *from) {
    const uint32_t a = thimble_load_4(from);
    const uint32_t b = thimble_load_4(from + 4);
    const uint32_t c = thimble_load_4(from + 8);
    const uint32_t d = thimble_load_4(from + 12);
    thimble_store_4(to, a);
    thimble_store_4(to + 4, b);
    thimble_store_4(to + 8, c);
    thimble_store_4(to + 12, d);
}

/* To a place before or apart. */
static void copy(int8_t *to, const int8_t *from, int32_t bytes) {
    for (; bytes >= 64; bytes -= 64) {
        copy_16(to, from);
        copy_16(to + 16, from + 16);
        copy_16(to + 32, from + 32);
        copy_16(to + 48, from + 48);
        to += 64;
        from += 64;
    }
    for (; bytes >= 4; bytes -= 4) {
        thimble_store_4(to, thimble_load_4(from));
        to += 4;
        from += 4;
    }
    for (; bytes > 0; bytes--) {
        *to++ = *from++;
    }
}

static void put_border(int8_t *to, int32_t zero_point, int32_t bytes) {
    for (; bytes > 0; bytes--) {
        *to++ = (int8_t)zero_point;
    }
}

void thimble_hold_rows_dsp(const thimble_flat_windows_dsp_params *params, const thimble_rows *input, int32_t line,
                           int32_t kept, int8_t *held) {
    const thimble_flat_windows_dsp_params *p = params;
    const int32_t before = p->pad_left * p->input_channels;
    const int32_t row_bytes = p->input_width * p->input_channels;
    const int32_t inside = row_bytes < p->pitch - before ? row_bytes : p->pitch - before;
    copy(held, held + (p->held_rows - kept) * p->pitch, kept * p->pitch);
    for (int32_t i = kept; i < p->held_rows; i++) {
        int8_t *row = held + i * p->pitch;
        const int is_border = line + i < 0 || line + i >= p->input_height;
        const int32_t pixels = is_border ? 0 : inside;
        put_border(row, p->input_zero_point, before);
        copy(row + before, is_border ? row : thimble_row(input, line + i), pixels);
        put_border(row + before + pixels, p->input_zero_point, p->pitch - before - pixels);
    }
}

thimble_wide_rows_dsp_params thimble_window_pixels(const thimble_flat_windows_dsp_params *params) {
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
    return pixels;
}

void thimble_flat_windows_dsp(const thimble_flat_windows_dsp_params *params, thimble_row_matmul_function function,
                              thimble_put_windows_function put, const thimble_rows *input, const int32_t *packed,
                              uint32_t *scratch, const thimble_rows *output, int32_t first, int32_t end) {
    const thimble_flat_windows_dsp_params *p = params;
    const thimble_wide_rows_dsp_params pixels = thimble_window_pixels(p);
    thimble_row_matmul_job job = thimble_make_row_matmul_job(&pixels, packed, scratch);
    uint32_t *rows = scratch + (job.rows - scratch);
    int8_t *held = (int8_t *)(rows + p->windows * (p->depth / 2) + 2 * p->row_steps - p->depth / 2);
    int8_t *to = thimble_row(output, first);
    int32_t kept = 0;
    int32_t count = 0;
    for (int32_t y = first; y < end; y++) {
        thimble_hold_rows_dsp(p, input, y * p->stride_height - p->pad_top, kept, held);
        kept = p->held_rows > p->stride_height ? p->held_rows - p->stride_height : 0;
        for (int32_t x = 0; x < p->output_width;) {
            const int32_t left = p->output_width - x;
            const int32_t room = p->windows - count;
            const int32_t next = left < room ? left : room;
            put(held + x * p->stride_width * p->input_channels, rows + count * (p->depth / 2), next);
            x += next;
            count += next;
            if (count == p->windows || (y + 1 == end && x == p->output_width)) {
                thimble_run_flat_row(&pixels, function, &job, count, to);
                to += count * p->output_channels;
                count = 0;
            }
        }
    }
}
