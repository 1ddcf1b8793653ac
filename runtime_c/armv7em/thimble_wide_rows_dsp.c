/* SPDX-License-Identifier: 0BSD */
#include "thimble_wide_rows_dsp.h"

/* `words` words of four values of the zero point; returns the place behind them. */
static __attribute__((noinline)) uint32_t *put_border(const thimble_wide_rows_dsp_params *p, uint32_t *to,
                                                      int32_t words) {
    uint32_t border[2];
    thimble_put_word(p->folded, border, ((uint32_t)p->input_zero_point & 0xFFu) * 0x01010101u);
    for (; words > 0; words--) {
        to[0] = border[0];
        to[1] = border[1];
        to += 2;
    }
    return to;
}

/* `runs` runs of `words` words, `run_bytes` from one to the next. */
static void widen_folded(const int8_t *from, uint32_t *to, int32_t words, int32_t runs, int32_t run_bytes) {
    const int32_t rest = run_bytes - 4 * words;
    for (; runs > 0; runs--) {
        int32_t left = words - 4;
        for (; left >= 0; left -= 4) {
            thimble_put_four_words(from, to);
            from += 16;
            to += 8;
        }
        for (left += 4; left > 0; left--) {
            thimble_put_word(1, to, thimble_load_4(from));
            from += 4;
            to += 2;
        }
        from += rest;
    }
}

static void widen_runs(int32_t folded, const int8_t *from, uint32_t *to, int32_t words, int32_t runs,
                       int32_t run_bytes) {
    if (folded) {
        widen_folded(from, to, words, runs, run_bytes);
        return;
    }
    for (; runs > 0; runs--) {
        for (int32_t i = 0; i < words; i++) {
            thimble_put_word(0, to + 2 * i, thimble_load_4(from + 4 * i));
        }
        from += run_bytes;
        to += 2 * words;
    }
}

/* Pixels of one word, which reaches into the next pixel: what is multiplied by the zeros behind a pixel's weights does
 * not matter. */
static void widen_single_words(int32_t folded, const int8_t *from, uint32_t *to, int32_t pixels, int32_t channels) {
    if (folded && channels == 3) {
        for (; pixels >= 4; pixels -= 4) {
            const uint32_t a = thimble_load_4(from);
            const uint32_t b = thimble_load_4(from + 4);
            const uint32_t c = thimble_load_4(from + 8);
            thimble_put_word(1, to, a);
            thimble_put_word(1, to + 2, a >> 24 | b << 8);
            thimble_put_word(1, to + 4, b >> 16 | c << 16);
            thimble_put_word(1, to + 6, c >> 8);
            from += 12;
            to += 8;
        }
    }
    for (; pixels > 0; pixels--) {
        thimble_put_word(folded, to, thimble_load_4(from));
        from += channels;
        to += 2;
    }
}

/* Pixels whose channels are no whole words; the last one is not read beyond its end. */
static void widen_pixels(int32_t folded, const int8_t *from, uint32_t *to, int32_t pixels, int32_t channels) {
    const int32_t words = (channels + 3) / 4;
    const int32_t rest = channels % 4;
    if (words > 1) {
        widen_runs(folded, from, to, words, pixels - 1, channels);
    } else {
        widen_single_words(folded, from, to, pixels - 1, channels);
    }
    from += (pixels - 1) * channels;
    to += 2 * words * (pixels - 1);
    widen_runs(folded, from, to, words - 1, 1, 0);
    from += channels - rest;
    uint32_t x = 0;
    for (int32_t c = 0; c < rest; c++) {
        x |= (uint32_t)(uint8_t)from[c] << (8 * c);
    }
    thimble_put_word(folded, to + 2 * (words - 1), x);
}

void thimble_widen_pixels_dsp(const thimble_wide_rows_dsp_params *params, const int8_t *from, uint32_t *to,
                              int32_t pixels) {
    const thimble_wide_rows_dsp_params *p = params;
    if (p->input_channels % 4 == 0) {
        widen_runs(p->folded, from, to, pixels * (p->input_channels / 4), 1, 0);
    } else if (p->folded) {
        widen_pixels(1, from, to, pixels, p->input_channels);
    } else {
        widen_pixels(0, from, to, pixels, p->input_channels);
    }
}

/* A widened row: an input row between its borders, or a border where `from` is null. */
static void fill_row(const thimble_wide_rows_dsp_params *p, const int8_t *from, uint32_t *to) {
    const int32_t words = (p->input_channels + 3) / 4;
    if (from == 0) {
        put_border(p, to, p->row_pixels * words);
        return;
    }
    to = put_border(p, to, p->pad_left * words);
    thimble_widen_pixels_dsp(p, from, to, p->input_width);
    put_border(p, to + 2 * p->input_width * words, (p->row_pixels - p->pad_left - p->input_width) * words);
}

#if !defined(__ARM_FEATURE_DSP)

/* Output (x, channel) of one row. */
static int8_t portable_output(const thimble_wide_rows_dsp_params *p, const thimble_row_matmul_job *job,
                              const uint32_t *rows, int32_t x, const int32_t *weights, int32_t channel) {
    const thimble_sums_form form = {p->folded, p->scale_bits, p->rounds_ties,
                                    p->output_min != -128 || p->output_max != 127, p->shift};
    const thimble_tail tail = {form.clamps, job->ceiling, job->offset};
    const int32_t pixel_words = (p->input_channels + 3) / 4;
    const int32_t steps = p->kernel_width * pixel_words;
    uint32_t sum = (uint32_t)weights[channel];
    weights += 2 + channel;
    for (int32_t ky = 0; ky < p->kernel_height; ky++) {
        const uint32_t *pixels = rows + 2 * pixel_words * (ky * p->row_pixels + x * p->stride_width);
        for (int32_t step = 0; step < steps; step++) {
            sum += thimble_sums_step(form, pixels[2 * step], pixels[2 * step + 1], (uint32_t)*weights);
            weights += 2;
        }
        weights += 2 * (p->row_steps - steps);
    }
    return thimble_sums_output(form, tail, sum, weights - channel + channel * thimble_channel_constants(p->shift));
}

void thimble_row_matmul_portable(const thimble_row_matmul_job *job) {
    const thimble_wide_rows_dsp_params *p = job->params;
    const int32_t row_words = p->row_pixels * ((p->input_channels + 3) / 4) * 2;
    const int32_t *weights = job->weights;
    for (int32_t pair = 0; pair < job->channels; pair += 2) {
        const int32_t first = pair + 2 > job->channels ? job->channels - 2 : pair;
        const uint32_t *rows = job->rows;
        for (int8_t *const *output = job->outputs; output < job->outputs_end; output++) {
            const int32_t pixels = job->last_pixel / p->output_channels + 4 + job->tails;
            for (int32_t x = 0; x < pixels; x++) {
                for (int32_t c = 0; c < 2; c++) {
                    (*output)[x * p->output_channels + first + c] = portable_output(p, job, rows, x, weights, c);
                }
            }
            rows += p->stride_height * row_words;
        }
        weights += job->pair_bytes / 4;
    }
}

#endif

static int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}

thimble_row_matmul_job thimble_make_row_matmul_job(const thimble_wide_rows_dsp_params *params, const int32_t *packed,
                                                   uint32_t *scratch) {
    const thimble_wide_rows_dsp_params *p = params;
    const int32_t pixel_words = (p->input_channels + 3) / 4;
    const int32_t pair_bytes = 8 * p->row_steps * p->kernel_height + thimble_pair_constants_bytes(p->shift);
    const uint32_t ceiling = (uint32_t)(255 - (p->output_max - p->output_min));
    const uint32_t offset = ((uint32_t)p->output_min - ceiling) & 0xFFu;
    const thimble_row_matmul_job job = {
        .rows = scratch + (pair_bytes + 31) / 32 * 8,
        .weights = packed,
        .pair_bytes = pair_bytes,
        .staged = scratch,
        .outputs = 0,
        .outputs_end = 0,
        .channels = p->output_channels,
        .ceiling = ceiling * 0x01010101u,
        .offset = offset * 0x01010101u,
        .last_column = (p->output_width - 4) * p->stride_width * 8 * pixel_words,
        .last_pixel = (p->output_width - 4) * p->output_channels,
        .tails = 0,
        .params = p,
    };
    return job;
}

void thimble_run_flat_row(const thimble_wide_rows_dsp_params *params, thimble_row_matmul_function function,
                          thimble_row_matmul_job *job, int32_t pixels, int8_t *to) {
    const thimble_wide_rows_dsp_params *p = params;
    int8_t *const outputs[1] = {to};
    job->outputs = outputs;
    job->outputs_end = outputs + 1;
    job->tails = pixels % 4 <= p->max_tails ? pixels % 4 : 0;
    job->last_column = (pixels - job->tails - 4) * 8 * ((p->input_channels + 3) / 4);
    job->last_pixel = (pixels - job->tails - 4) * p->output_channels;
    function(job);
}

void thimble_wide_rows_dsp(const thimble_wide_rows_dsp_params *params, thimble_row_matmul_function function,
                           const thimble_rows *input, const int32_t *packed, uint32_t *scratch,
                           const thimble_rows *output, int32_t first, int32_t end) {
    const thimble_wide_rows_dsp_params *p = params;
    const int32_t row_words = 2 * ((p->input_channels + 3) / 4) * p->row_pixels;
    int8_t *outputs[THIMBLE_MAX_WIDE_ROWS];
    thimble_row_matmul_job job = thimble_make_row_matmul_job(p, packed, scratch);
    uint32_t *rows = scratch + (job.rows - scratch);
    int32_t done = 0; /* output rows of the image that rows were widened for last */
    int32_t held = 0; /* widened rows */
    for (int32_t y = first; y < end; y += done) {
        const int32_t image = y / p->output_height;
        const int32_t row = y - image * p->output_height;
        const int32_t passed = done * p->stride_height;
        const int32_t kept = row > 0 && held > passed ? held - passed : 0;
        thimble_move_words(rows + passed * row_words, rows, kept * row_words);
        done = smaller(smaller(p->output_height - row, end - y), p->rows_at_once);
        held = (done - 1) * p->stride_height + p->kernel_height;
        for (int32_t i = kept; i < held; i++) {
            const int32_t line = row * p->stride_height - p->pad_top + i;
            const int inside = line >= 0 && line < p->input_height;
            const int8_t *from = inside ? thimble_row(input, image * p->input_height + line) : 0;
            fill_row(p, from, rows + i * row_words);
        }
        for (int32_t i = 0; i < done; i++) {
            outputs[i] = thimble_row(output, y + i);
        }
        job.outputs = outputs;
        job.outputs_end = outputs + done;
        function(&job);
    }
}

void thimble_flat_pixels_dsp(const thimble_wide_rows_dsp_params *params, thimble_row_matmul_function function,
                             const thimble_rows *input, const int32_t *packed, uint32_t *scratch,
                             const thimble_rows *output) {
    const thimble_wide_rows_dsp_params *p = params;
    const int8_t *from = (const int8_t *)input->base;
    int8_t *to = (int8_t *)output->base;
    thimble_row_matmul_job job = thimble_make_row_matmul_job(p, packed, scratch);
    uint32_t *rows = scratch + (job.rows - scratch);
    int32_t left = p->output_height * p->output_width;
    while (left > 0) {
        const int32_t pixels = smaller(left, p->row_pixels);
        thimble_widen_pixels_dsp(p, from, rows, pixels);
        thimble_run_flat_row(p, function, &job, pixels, to);
        from += pixels * p->input_channels;
        to += pixels * p->output_channels;
        left -= pixels;
    }
}
