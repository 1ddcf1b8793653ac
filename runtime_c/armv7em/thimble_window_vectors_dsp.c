/* SPDX-License-Identifier: 0BSD */
#include "thimble_window_vectors_dsp.h"

#if !defined(__ARM_FEATURE_DSP)

/* The portable twin of the generated functions, with the same bytes. */
static void vectors_portable(const thimble_window_vectors_dsp_params *p, const thimble_window_vectors_job *job) {
    const int clamps = p->output_min != -128 || p->output_max != 127;
    const thimble_sums_form form = {p->folded, p->scale_bits, p->rounds_ties, clamps, 0};
    const thimble_tail tail = {form.clamps, job->ceiling, job->offset};
    const int32_t steps = p->depth / 4;
    const int32_t *block = job->weights;
    for (int32_t first = 0; first < job->channels; first += p->block) {
        const int32_t channel = first + p->block > job->channels ? job->channels - p->block : first;
        const int32_t *constants = block + p->block * (1 + steps);
        for (int32_t i = 0; i < p->block; i++) {
            const int32_t *weights = block + p->block + i;
            uint32_t sum = (uint32_t)block[i];
            for (const thimble_run *run = job->runs; run != job->runs_end; run++) {
                for (const int8_t *from = run->from; from != run->end; from += 4) {
                    uint32_t widened[2];
                    thimble_put_word(p->folded, widened, thimble_load_4(from));
                    sum += thimble_sums_step(form, widened[0], widened[1], (uint32_t)*weights);
                    weights += p->block;
                }
            }
            const int32_t *own = p->shares_constants ? job->constants : constants + 3 * i;
            job->output[channel + i] = thimble_sums_output(form, tail, sum, own);
        }
        block = p->shares_constants ? constants : constants + 3 * p->block;
    }
}

#endif

/* A run of some bytes behind others, where there are any. */
static thimble_run *add_run(thimble_run *run, const int8_t *from, int32_t bytes) {
    if (bytes > 0) {
        run->from = from;
        run->end = from + bytes;
        run++;
    }
    return run;
}

void thimble_window_vectors_dsp(const thimble_window_vectors_dsp_params *params,
                                thimble_window_vectors_function function, const thimble_rows *input,
                                const int32_t *packed, const thimble_rows *output, int32_t first, int32_t end) {
    const thimble_window_vectors_dsp_params *p = params;
    const uint32_t ceiling = (uint32_t)(255 - (p->output_max - p->output_min));
    const uint32_t offset = ((uint32_t)p->output_min - ceiling) & 0xFFu;
    const int8_t *border = (const int8_t *)(packed + p->border_at);
    const int32_t row_bytes = p->window.kernel_width * p->input_channels;
    thimble_run runs[THIMBLE_MAX_RUNS];
    thimble_window_vectors_job job = {
        .runs = runs,
        .weights = packed + (p->shares_constants ? 3 : 0),
        .channels = p->output_channels,
        .constants = packed,
        .ceiling = ceiling * 0x01010101u,
        .offset = offset * 0x01010101u,
    };
    for (int32_t y = first; y < end; y++) {
        const thimble_taps rows = thimble_row_taps(p->window, 1, y);
        const int32_t top = thimble_image(p->window, y) + rows.position - rows.begin;
        job.output = thimble_row(output, y);
        for (int32_t x = 0; x < p->window.output_width; x++) {
            const thimble_taps columns = thimble_column_taps(p->window, 1, x);
            const int32_t before = columns.begin * p->input_channels;
            const int32_t inside = (columns.end - columns.begin) * p->input_channels;
            thimble_run *run = runs;
            for (int32_t ky = 0; ky < p->window.kernel_height; ky++) {
                if (ky < rows.begin || ky >= rows.end || inside == 0) {
                    run = add_run(run, border, row_bytes);
                } else {
                    const int8_t *line = thimble_row(input, top + ky);
                    run = add_run(run, border, before);
                    run = add_run(run, line + columns.position * p->input_channels, inside);
                    run = add_run(run, border, row_bytes - before - inside);
                }
            }
            job.runs_end = run;
#if defined(__ARM_FEATURE_DSP)
            function(&job);
#else
            (void)function;
            vectors_portable(p, &job);
#endif
            job.output += p->output_channels;
        }
    }
}
