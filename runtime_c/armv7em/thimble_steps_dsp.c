/* SPDX-License-Identifier: 0BSD */
#include "thimble_steps_dsp.h"

#if !defined(__ARM_FEATURE_DSP)

/* Sums are scaled by 2 to the power of this. */
#define SCALE_BITS 8

/* One of four channels, whose packed words these are. */
static int8_t steps_byte(const thimble_steps_dsp_params *p, const thimble_steps_job *job, const int32_t *packed,
                         int32_t channel) {
    const thimble_tail tail = {p->output_min != -128 || p->output_max != 127, job->ceiling, job->offset};
    const int32_t lane = channel % 4;
    const int8_t *weights = (const int8_t *)(packed + 4) + lane / 2 * 4 + lane % 2;
    const int32_t *constants = packed + p->quad_words - 12 + 3 * lane;
    uint32_t sum = (uint32_t)packed[lane];
    for (int32_t tap = 0; tap < p->window.kernel_height; tap++) {
        sum += (uint32_t)(job->places[tap][channel] * weights[tap / 2 * 8 + tap % 2 * 2]);
    }
    const int32_t scaled = (int32_t)(sum << SCALE_BITS);
    const int32_t tie = p->rounds_ties && scaled < 0 ? 1 << (SCALE_BITS - 1) : 0;
    return thimble_tail_byte(tail, (thimble_high_product(scaled, constants[0]) + constants[1] - tie) >> constants[2]);
}

/* The portable twin of the generated functions, with the same bytes. */
static void steps_portable(const thimble_steps_dsp_params *p, const thimble_steps_job *job) {
    for (int32_t first = 0; first < p->channels; first += 4) {
        int8_t made[4];
        for (int32_t lane = 0; lane < 4; lane++) {
            made[lane] = steps_byte(p, job, job->packed + first / 4 * p->quad_words, first + lane);
        }
        for (int32_t lane = 0; lane < 4; lane++) {
            job->output[first + lane] = made[lane];
        }
    }
}

#endif

void thimble_steps_dsp(const thimble_steps_dsp_params *params, thimble_steps_function function,
                       const thimble_rows *input, const int32_t *packed, const thimble_rows *output, int32_t first,
                       int32_t end) {
    const thimble_steps_dsp_params *p = params;
    const uint32_t ceiling = (uint32_t)(255 - (p->output_max - p->output_min));
    const uint32_t offset = ((uint32_t)p->output_min - ceiling) & 0xFFu;
    const int8_t *places[THIMBLE_MAX_STEPS];
    thimble_steps_job job = {
        .packed = packed,
        .places = places,
        .ceiling = ceiling * 0x01010101u,
        .offset = offset * 0x01010101u,
    };
    for (int32_t y = first; y < end; y++) {
        const int32_t top = thimble_image(p->window, y) + thimble_window_top(p->window, y);
        for (int32_t tap = 0; tap < p->window.kernel_height; tap++) {
            places[tap] = thimble_row(input, top + tap);
        }
        if (p->window.kernel_height % 2 != 0) {
            places[p->window.kernel_height] = places[0];
        }
        job.output = thimble_row(output, y);
        job.output_end = job.output + p->channels;
#if defined(__ARM_FEATURE_DSP)
        function(&job);
#else
        (void)function;
        steps_portable(p, &job);
#endif
    }
}
