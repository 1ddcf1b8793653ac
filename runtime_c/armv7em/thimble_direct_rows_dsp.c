/* SPDX-License-Identifier: 0BSD */
#include "thimble_direct_rows_dsp.h"

#if !defined(__ARM_FEATURE_DSP)

/* Where a channel's packed words hold the weight of each tap, row by row. */
static const uint8_t tap_bytes[9] = {1, 0, 5, 3, 2, 7, 4, 6, 8};

/* The input element under tap (ky, kx) of the window of output x: the zero point outside of the image. */
static int32_t element(const thimble_direct_rows_dsp_params *p, const thimble_direct_rows_job *job,
                       const thimble_direct_line *line, int32_t ky, int32_t kx, int32_t x, int32_t channel) {
    const int32_t column = thimble_window_left(p->window, x) + kx;
    const int above = ky == 0 && (job->borders & THIMBLE_DIRECT_ABOVE) != 0;
    const int below = ky == 2 && (job->borders & THIMBLE_DIRECT_BELOW) != 0;
    if (above || below || column < 0 || column >= p->window.input_width) {
        return p->input_zero_point;
    }
    return line->inputs[ky][column * p->channels + channel];
}

/* The portable twin of the generated functions, with the same bytes. */
static void direct_rows_portable(const thimble_direct_rows_dsp_params *p, const thimble_direct_rows_job *job) {
    const thimble_tail tail = {p->output_min != -128 || p->output_max != 127, job->ceiling, job->offset};
    for (int32_t channel = 0; channel < p->channels; channel++) {
        const int32_t *packed = job->packed + channel * p->channel_words;
        const int8_t *taps = (const int8_t *)packed;
        const int own = p->total_shift < 0;
        for (const thimble_direct_line *line = job->lines; line < job->lines_end; line++) {
            for (int32_t x = 0; x < p->window.output_width; x++) {
                uint32_t sum = (uint32_t)packed[3];
                for (int32_t tap = 0; tap < 9; tap++) {
                    const int32_t scaled = taps[tap_bytes[tap]] * (1 << THIMBLE_DIRECT_SCALE_BITS);
                    sum += (uint32_t)(element(p, job, line, tap / 3, tap % 3, x, channel) * scaled);
                }
                const int32_t high = thimble_high_product((int32_t)sum, packed[4]);
                const int32_t tie = p->rounds_ties && high < 0 ? 1 << (THIMBLE_DIRECT_SCALE_BITS - 1) : 0;
                const int32_t value = own ? (high + packed[5] - tie) >> packed[6] : high >> p->total_shift;
                line->output[x * p->channels + channel] = thimble_tail_byte(tail, value);
            }
        }
    }
}

#endif

/* Some output rows at whose borders the same rows of the window lie outside of the image. */
static void run(const thimble_direct_rows_dsp_params *p, thimble_direct_rows_function function,
                thimble_direct_rows_job *job, int32_t rows) {
    job->lines_end = job->lines + rows;
#if defined(__ARM_FEATURE_DSP)
    (void)p;
    function(job);
#else
    (void)function;
    direct_rows_portable(p, job);
#endif
}

void thimble_direct_rows_dsp(const thimble_direct_rows_dsp_params *params, thimble_direct_rows_function function,
                             const thimble_rows *input, const int32_t *packed, const thimble_rows *output,
                             int32_t first, int32_t end) {
    const thimble_direct_rows_dsp_params *p = params;
    const uint32_t ceiling = (uint32_t)(255 - (p->output_max - p->output_min));
    const uint32_t offset = ((uint32_t)p->output_min - ceiling) & 0xFFu;
    thimble_direct_line lines[THIMBLE_MAX_DIRECT_ROWS];
    thimble_direct_rows_job job = {
        .packed = packed,
        .lines = lines,
        .channels = p->channels,
        .zeros = thimble_pair(p->input_zero_point, p->input_zero_point),
        .ceiling = ceiling * 0x01010101u,
        .offset = offset * 0x01010101u,
    };
    int32_t held = 0;
    for (int32_t y = first; y < end; y++) {
        const int32_t image = y / p->window.output_height;
        const int32_t row = y - image * p->window.output_height;
        const int32_t top = row * p->window.stride_height - p->window.pad_top;
        const int32_t middle = image * p->window.input_height + top + 1;
        const int above = top < 0;
        const int below = top + 2 >= p->window.input_height;
        const uint32_t borders = (above ? THIMBLE_DIRECT_ABOVE : 0u) | (below ? THIMBLE_DIRECT_BELOW : 0u);
        if (held == p->rows_at_once || (held > 0 && borders != job.borders)) {
            run(p, function, &job, held);
            held = 0;
        }
        lines[held].inputs[0] = thimble_row(input, above ? middle : middle - 1);
        lines[held].inputs[1] = thimble_row(input, middle);
        lines[held].inputs[2] = thimble_row(input, below ? middle : middle + 1);
        lines[held].output = thimble_row(output, y);
        job.borders = borders;
        held++;
    }
    if (held > 0) {
        run(p, function, &job, held);
    }
}
