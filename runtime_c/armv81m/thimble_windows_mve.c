/* SPDX-License-Identifier: 0BSD */
#include "thimble_windows_mve.h"

/* Where a call stands. */
typedef struct {
    const thimble_windows_mve_params *p;
    const thimble_rows *input;
    int32_t segments;
    const int8_t *rows[THIMBLE_MAX_WINDOW_ROWS]; /* input rows under those of the kernel, null in the border */
    const int8_t *border;                        /* zero points for a row of a window */
    int8_t *copies[2];                           /* windows that do not lie in the input as they are needed */
    int32_t advance[THIMBLE_MAX_SEGMENTS];
    thimble_segment_mve places[THIMBLE_MAX_SEGMENTS];
} windows;

static int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}

static int32_t larger(int32_t a, int32_t b) {
    return a > b ? a : b;
}

/* The input rows under the kernel where its first row lies at row `top` of an image that begins at row `image`. */
static void find_rows(windows *w, int32_t image, int32_t top) {
    for (int32_t ky = 0; ky < w->p->window.kernel_height; ky++) {
        const int32_t y = top + ky * w->p->dilation_height;
        w->rows[ky] = y >= 0 && y < w->p->window.input_height ? thimble_row(w->input, image + y) : 0;
    }
}

/* The taps of a row of a dilated window whose first column is `left`, one behind the other. */
static void copy_taps(const thimble_windows_mve_params *p, const int8_t *row, int32_t left, int8_t *to) {
    const int32_t channels = p->input_channels;
    for (int32_t x = left; x < left + p->window.kernel_width * p->dilation_width; x += p->dilation_width) {
        if (x >= 0 && x < p->window.input_width) {
            thimble_copy_mve(to, row + x * channels, channels);
        } else {
            thimble_fill_mve(to, p->input_zero_point, channels);
        }
        to += channels;
    }
}

/* Window `which` of the pair, of output column `x`, as a copy, with zero points in the border. */
static void copy_window(windows *w, int which, int32_t x) {
    const thimble_windows_mve_params *p = w->p;
    const int32_t left = thimble_window_left(p->window, x);
    const int32_t first = smaller(larger(-left, 0), p->window.kernel_width); /* columns [first, end) lie inside */
    const int32_t end = larger(smaller(p->window.kernel_width, p->window.input_width - left), first);
    const int32_t bytes = p->window.kernel_width * p->input_channels;
    const int32_t before = first * p->input_channels;
    const int32_t inside = (end - first) * p->input_channels;
    const int32_t pitch = p->row_parts == 0 ? bytes : p->row_parts * p->segment_bytes;
    int8_t *to = w->copies[which];
    for (int32_t i = 0; i < w->segments; i++) {
        w->places[i].place[which] = to + i * p->segment_bytes;
    }
    for (int32_t ky = 0; ky < p->window.kernel_height; ky++) {
        const int8_t *row = w->rows[ky];
        if (row == 0) {
            thimble_fill_mve(to, p->input_zero_point, bytes);
        } else if (p->dilation_width != 1) {
            copy_taps(p, row, left, to);
        } else {
            if (inside != bytes) {
                thimble_fill_mve(to, p->input_zero_point, bytes);
            }
            thimble_copy_mve(to + before, row + (left + first) * p->input_channels, inside);
        }
        to += pitch;
    }
}

/* Window `which` of the pair, of output column `x`, where it lies in the input. */
static void place_window(windows *w, int which, int32_t x) {
    const thimble_windows_mve_params *p = w->p;
    const int32_t left = thimble_window_left(p->window, x) * p->input_channels;
    thimble_segment_mve *segment = w->places;
    int32_t *advance = w->advance;
    for (int32_t ky = 0; ky < p->window.kernel_height; ky++) {
        const int8_t *row = w->rows[ky];
        const int8_t *from = row == 0 ? w->border : row + left;
        for (int32_t part = 0; part < p->row_parts; part++) {
            segment++->place[which] = from;
            *advance++ = row == 0 ? 0 : 2 * p->window.stride_width * p->input_channels;
            from += p->segment_bytes;
        }
    }
}

/* Both windows, which lie in the input as those before them, on to the next two. */
static inline void advance_windows(windows *w) {
    for (int32_t i = 0; i < w->segments; i++) {
        w->places[i].place[0] += w->advance[i];
        w->places[i].place[1] += w->advance[i];
    }
}

static void find_window(windows *w, int which, int32_t x) {
    if (x >= w->p->inside_begin && x < w->p->inside_end) {
        place_window(w, which, x);
    } else {
        copy_window(w, which, x);
    }
}

/* One output row; `job` holds where two pixels are staged. */
static void make_row(windows *w, thimble_pair_function_mve function, const thimble_pair_job_mve *job, int8_t *out) {
    const thimble_windows_mve_params *p = w->p;
    const int32_t channels = p->output_channels;
    int inside = 0; /* whether both windows of the pair before lie in the input */
    for (int32_t x = 0; x < p->window.output_width; x += 2) {
        const int32_t second = smaller(x + 1, p->window.output_width - 1);
        if (inside && second > x && second < p->inside_end) {
            advance_windows(w);
        } else {
            find_window(w, 0, x);
            find_window(w, 1, second);
            inside = x >= p->inside_begin && second < p->inside_end;
        }
        function(job);
        if (channels % 4 == 0) {
            thimble_copy_mve(out, job->outputs[0], (second - x + 1) * channels);
        } else {
            thimble_copy_mve(out, job->outputs[0], channels);
            thimble_copy_mve(out + (second - x) * channels, job->outputs[1], channels);
        }
        out += 2 * channels;
    }
}

void thimble_windows_mve(const thimble_windows_mve_params *params, thimble_pair_function_mve function,
                         const thimble_rows *input, const int32_t *packed, int8_t *scratch, const thimble_rows *output,
                         int32_t first, int32_t end) {
    const thimble_windows_mve_params *p = params;
    const int32_t blocks = (p->output_channels + 3) / 4;
    const int32_t parts = p->row_parts * p->segment_bytes;
    const int32_t window_bytes = p->row_parts == 0 ? p->segment_bytes : p->window.kernel_height * parts;
    int8_t *copies = scratch + 8 * blocks + parts;
    windows w = {
        .p = p,
        .input = input,
        .segments = p->row_parts == 0 ? 1 : p->window.kernel_height * p->row_parts,
        .border = scratch + 8 * blocks,
        .copies = {copies, copies + window_bytes},
    };
    const thimble_pair_job_mve job = {
        .segments = w.places,
        .weights = (const int8_t *)packed,
        .turns = p->turns,
        .blocks = blocks,
        .outputs = {scratch, scratch + 4 * blocks},
        .limits = thimble_limits_of_mve(p->output_zero_point, p->output_min, p->output_max),
    };
    thimble_fill_mve(scratch + 8 * blocks, p->input_zero_point, parts);
    for (int32_t row = first; row < end; row++) {
        find_rows(&w, thimble_image(p->window, row), thimble_window_top(p->window, row));
        make_row(&w, function, &job, thimble_row(output, row));
    }
}
