/* SPDX-License-Identifier: 0BSD */
#include "thimble_pointwise_dsp.h"

/* A firmware has one of the two functions that widen: in each of them `folded` is to be a constant. */
#define THIMBLE_INLINE static inline __attribute__((always_inline))

/* A word of each of four pixels, side by side: loads come first, so that they pipeline. */
THIMBLE_INLINE void put_four(int32_t folded, uint32_t *to, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    thimble_put_grouped_word(folded, to, a);
    thimble_put_grouped_word(folded, to + 1, b);
    thimble_put_grouped_word(folded, to + 2, c);
    thimble_put_grouped_word(folded, to + 3, d);
}

/* Pixels `step` bytes apart, four at a time side by side; returns the place behind them. Where channels are no whole
 * words, the last word of a pixel reaches into the next one: what is multiplied by the zeros behind a pixel's weights
 * does not matter. That of the last pixel reaches back instead, so that nothing is read beyond it. The last four may be
 * some of those before. */
THIMBLE_INLINE uint32_t *widen(int32_t folded, const thimble_pointwise_dsp_params *p, const int8_t *from,
                               int32_t pixels, uint32_t *to) {
    const int32_t step = p->stride_width * p->input_channels;
    const int32_t two = 2 * step;
    const int32_t rest = p->input_channels & 3;
    const int32_t words = p->input_channels >> 2;
    const int32_t gap = step - 4 * words;
    const int32_t back = (-pixels & 3) * step;
    for (int32_t left = pixels; left > 0; left -= 4) {
        if (left < 4) {
            from -= back;
        }
        const int8_t *last = from + two + step;
        for (int32_t word = words; word > 0; word--) {
            const uint32_t a = thimble_load_4(from);
            const uint32_t b = thimble_load_4(from + step);
            const uint32_t c = thimble_load_4(from + two);
            const uint32_t d = thimble_load_4(last);
            put_four(folded, to, a, b, c, d);
            from += 4;
            last += 4;
            to += 8;
        }
        if (rest != 0) {
            put_four(folded, to, thimble_load_4(from), thimble_load_4(from + step), thimble_load_4(from + two),
                     thimble_load_4(last + rest - 4) >> (8 * (4 - rest)));
            to += 8;
        }
        from = last + gap;
    }
    return to;
}

uint32_t *thimble_widen_pixels_folded(const thimble_pointwise_dsp_params *params, const int8_t *from, int32_t pixels,
                                      uint32_t *to) {
    return widen(1, params, from, pixels, to);
}

uint32_t *thimble_widen_pixels_plain(const thimble_pointwise_dsp_params *params, const int8_t *from, int32_t pixels,
                                     uint32_t *to) {
    return widen(0, params, from, pixels, to);
}

#if !defined(__ARM_FEATURE_DSP)

/* One output of a pixel whose words begin at `words`, of a pair's channel. */
static int8_t portable_output(thimble_sums_form form, const thimble_pointwise_job *job, const uint32_t *words,
                              const int32_t *weights, int32_t channel) {
    const thimble_tail tail = {form.clamps, job->ceiling, job->offset};
    const int32_t steps = (job->pair_bytes - thimble_pair_constants_bytes(form.shift)) / 8;
    uint32_t sum = (uint32_t)weights[channel];
    for (int32_t step = 0; step < steps; step++) {
        const uint32_t w = (uint32_t)weights[2 + 2 * step + channel];
        sum += thimble_sums_step(form, words[8 * step], words[8 * step + 4], w);
    }
    const int32_t *constants = weights + 2 + 2 * steps + channel * thimble_channel_constants(form.shift);
    return thimble_sums_output(form, tail, sum, constants);
}

void thimble_pointwise_portable(thimble_sums_form form, const thimble_pointwise_job *job) {
    const int32_t group_words = job->pair_bytes - thimble_pair_constants_bytes(form.shift);
    const int32_t last = job->last_pixel / job->channels;
    const int32_t *weights = job->weights;
    for (int32_t pair = 0; pair < job->channels; pair += 2) {
        const int32_t first = pair + 2 > job->channels ? job->channels - 2 : pair;
        const uint32_t *group = job->rows;
        for (int8_t *const *output = job->outputs; output < job->outputs_end; output++) {
            for (int32_t x = 0; x < last + 4; x += 4) {
                const int32_t from = x < last ? x : last;
                for (int32_t i = 0; i < 8; i++) {
                    int8_t *pixel = *output + (from + i / 2) * job->channels + first;
                    pixel[i % 2] = portable_output(form, job, group + i / 2, weights, i % 2);
                }
                group += group_words;
            }
        }
        weights += job->pair_bytes / 4;
    }
}

#endif

static int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}

void thimble_pointwise_dsp(const thimble_pointwise_dsp_params *params, int32_t shift, thimble_widen_pixels widen_pixels,
                           thimble_pointwise_function function, const thimble_rows *input, const int32_t *packed,
                           uint32_t *scratch, const thimble_rows *output, int32_t first, int32_t end) {
    const thimble_pointwise_dsp_params *p = params;
    const int32_t pair_bytes = (p->input_channels + 3) / 4 * 8 + thimble_pair_constants_bytes(shift);
    const uint32_t ceiling = (uint32_t)(255 - (p->output_max - p->output_min));
    const uint32_t offset = ((uint32_t)p->output_min - ceiling) & 0xFFu;
    uint32_t *const widened = scratch + (pair_bytes + 31) / 32 * 8;
    int8_t *outputs[THIMBLE_MAX_POINTWISE_ROWS];
    thimble_pointwise_job job = {
        .rows = widened,
        .weights = packed,
        .pair_bytes = pair_bytes,
        .staged = scratch,
        .outputs = outputs,
        .channels = p->output_channels,
        .ceiling = ceiling * 0x01010101u,
        .offset = offset * 0x01010101u,
        .skipped = p->skipped_steps,
    };
    const int32_t last = p->flat ? first + 1 : end;
    int32_t rows = 0;
    for (int32_t y = first; y < last; y += rows) {
        int32_t pixels = 0;
        rows = smaller(p->rows_at_once, last - y);
        for (int32_t x = 0; x < p->output_width; x += pixels) {
            uint32_t *to = widened;
            pixels = smaller(p->pixels_at_once, p->output_width - x);
            for (int32_t i = 0; i < rows; i++) {
                const int32_t image = (y + i) / p->output_height;
                const int32_t row = y + i - image * p->output_height;
                const int8_t *from = thimble_row(input, image * p->input_height + row * p->stride_height);
                to = widen_pixels(p, from + x * p->stride_width * p->input_channels, pixels, to);
                outputs[i] = (int8_t *)thimble_row(output, y + i) + x * p->output_channels;
            }
            job.outputs_end = outputs + rows;
            job.last_pixel = (pixels - 4) * p->output_channels;
            function(&job);
        }
    }
}
