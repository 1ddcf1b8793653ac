/* SPDX-License-Identifier: 0BSD */
#include "thimble_vector_dsp.h"

/* The row as words; values beyond its end meet weights of 0. */
static uint32_t *widen_row(const thimble_vector_dsp_params *p, const int8_t *input, uint32_t *to) {
    const int32_t step = 32 / p->weight_bits;
    const int32_t end = (p->depth + step - 1) / step * step;
    int32_t d = 0;
    for (; p->folded && d + 16 <= p->depth; d += 16) {
        thimble_put_four_words(input + d, to);
        to += 8;
    }
    for (; d < end; d += 4) {
        uint32_t x = 0;
        if (d + 4 <= p->depth) {
            x = thimble_load_4(input + d);
        } else {
            for (int32_t i = 0; i < p->depth - d; i++) {
                x |= (uint32_t)(uint8_t)input[d + i] << (8 * i);
            }
        }
        thimble_put_word(p->folded, to, x);
        to += 2;
    }
    return to;
}

#if !defined(__ARM_FEATURE_DSP)

/* Lanes of two weights of a word of eight or sixteen. */
static uint32_t operand_of(const thimble_vector_dsp_params *p, uint32_t word, int32_t operand) {
    const uint32_t field = 0xFFu & ~(0xFFu >> p->weight_bits);
    if (p->scale_bits == 16 - p->weight_bits) {
        return word << (p->weight_bits * operand) & field * 0x01000100u;
    }
    const uint32_t bytes = word << (p->weight_bits * (operand / 2)) & field * 0x01010101u;
    return operand % 2 == 0 ? thimble_even_bytes(bytes) : thimble_odd_bytes(bytes);
}

/* The products of a word of weights of one channel; `row` is the first word of its values. */
static uint32_t step_sum(const thimble_vector_dsp_params *p, thimble_sums_form form, const uint32_t *row,
                         uint32_t weights) {
    if (p->weight_bits == 8) {
        return thimble_sums_step(form, row[0], row[1], weights);
    }
    uint32_t sum = 0;
    for (int32_t operand = 0; operand < 16 / p->weight_bits; operand++) {
        sum += thimble_dot(row[operand], operand_of(p, weights, operand));
    }
    return sum;
}

/* The portable twin of the generated functions, with the same bytes. */
static void vector_portable(const thimble_vector_dsp_params *p, const thimble_vector_job *job) {
    const int scaled = p->folded || p->weight_bits < 8; /* sums are scaled as they are added up */
    const int clamps = p->output_min != -128 || p->output_max != 127;
    const thimble_sums_form form = {scaled, p->scale_bits, p->rounds_ties, clamps, 0};
    const thimble_tail tail = {form.clamps, job->ceiling, job->offset};
    const int32_t step_words = 16 / p->weight_bits;
    const int32_t steps = (p->depth * p->weight_bits + 31) / 32;
    const int32_t *block = job->weights;
    for (int32_t first = 0; first < job->channels; first += p->block) {
        const int32_t channel = first + p->block > job->channels ? job->channels - p->block : first;
        const int32_t *constants = block + p->block * (1 + steps);
        for (int32_t i = 0; i < p->block; i++) {
            uint32_t sum = (uint32_t)block[i];
            for (int32_t step = 0; step < steps; step++) {
                const uint32_t weights = (uint32_t)block[p->block * (1 + step) + i];
                const uint32_t *words = (const uint32_t *)job->row + step * step_words;
                uint32_t widened[2];
                if (p->direct) {
                    thimble_put_word(p->folded, widened, thimble_load_4((const int8_t *)job->row + 4 * step));
                    words = widened;
                }
                sum += step_sum(p, form, words, weights);
            }
            const int32_t *own = p->shares_constants ? job->constants : constants + 3 * i;
            job->output[channel + i] = thimble_sums_output(form, tail, sum, own);
        }
        block = p->shares_constants ? constants : constants + 3 * p->block;
    }
}

#endif

void thimble_vector_dsp(const thimble_vector_dsp_params *params, thimble_vector_function function, const int8_t *input,
                        const int32_t *packed, uint32_t *scratch, int8_t *output) {
    const thimble_vector_dsp_params *p = params;
    const uint32_t ceiling = (uint32_t)(255 - (p->output_max - p->output_min));
    const uint32_t offset = ((uint32_t)p->output_min - ceiling) & 0xFFu;
    thimble_vector_job job = {
        .row = scratch,
        .weights = packed + (p->shares_constants ? 3 : 0),
        .channels = p->channels,
        .constants = packed,
        .ceiling = ceiling * 0x01010101u,
        .offset = offset * 0x01010101u,
    };
    for (int32_t row = 0; row < p->rows; row++) {
        if (p->direct) {
            job.row = input;
            job.row_end = input + p->depth;
        } else {
            job.row_end = widen_row(p, input, scratch);
        }
        job.output = output;
#if defined(__ARM_FEATURE_DSP)
        function(&job);
#else
        (void)function;
        vector_portable(p, &job);
#endif
        input += p->depth;
        output += p->channels;
    }
}
