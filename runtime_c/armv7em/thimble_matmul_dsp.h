/* SPDX-License-Identifier: 0BSD */
/* Matrix product of columns (pixels) and packed weights: four columns and two output channels at a time, or one column
 * at the end. */
#ifndef THIMBLE_MATMUL_DSP_H
#define THIMBLE_MATMUL_DSP_H

#include <stdint.h>

#include "thimble_sums_dsp.h"

/* One product of all channels with some groups of four columns and some single ones behind them; the generated assembly
 * reads the fields in this order.
 * panel    (groups, depth / 4, 2, 4), then (single columns, depth / 4, 2): for each four values of depth two words of
 *          each column, see thimble_sums_dsp.h
 * weights  a pair of channels: bias (2); (depth / 4, 2) words of four bytes; multipliers (2), or multiplier, addend and
 *          shift (2, 3)
 * outputs  (4 * groups), and on to tails_end for single columns: where each column's channels are written; columns may
 *          repeat */
typedef struct {
    const uint32_t *panel;
    const int32_t *weights;
    int32_t pair_bytes; /* of the weights of a pair of channels: 2 * depth and thimble_pair_constants_bytes */
    int8_t *const *outputs;
    int8_t *const *outputs_end;
    int32_t channels; /* at least 2; the last pair of an odd number begins one channel earlier */
    uint32_t ceiling; /* where output limits are inside int8, four times the same byte: 255 - (max - min) */
    uint32_t offset;  /* and min - ceiling */
    int8_t *const *tails_end;
    uint32_t *spare; /* scratch behind that of the columns: for weights that are unpacked; assembly does not read it */
    int32_t shift;   /* thimble_sums_form, for the same */
} thimble_matmul_job;

typedef void (*thimble_matmul_function)(const thimble_matmul_job *job);

/* Four columns of a part of their windows and all channels; the generated assembly reads the fields in this order.
 * panel    (part's words, 2, 4)
 * weights  of whole windows, as above; the part's begin part_offset bytes behind the first and are part_bytes
 * sums     (ceil(channels / 2), 4, 2): where sums wait for the next part
 * outputs  (4) */
typedef struct {
    const uint32_t *panel;
    const int32_t *weights;
    int32_t pair_bytes;
    int32_t part_offset;
    int32_t part_bytes;
    int32_t *sums;
    int8_t *const *outputs;
    int32_t channels;
    uint32_t ceiling;
    uint32_t offset;
} thimble_partial_matmul_job;

typedef void (*thimble_partial_matmul_function)(const thimble_partial_matmul_job *job);

/* The portable twin of the generated functions for parts, with the same bytes. */
static inline void thimble_partial_matmul_portable(thimble_sums_form form, const thimble_partial_matmul_job *job) {
    const thimble_tail tail = {form.clamps, job->ceiling, job->offset};
    const int32_t steps = job->part_bytes / 8;
    const int32_t *weights = job->weights;
    int32_t *sums = job->sums;
    for (int32_t pair = 0; pair < job->channels; pair += 2) {
        const int32_t first = pair + 2 > job->channels ? job->channels - 2 : pair;
        const int32_t *part = weights + 2 + job->part_offset / 4;
        for (int32_t i = 0; i < 8; i++) {
            const int32_t column = i / 2;
            const int32_t channel = i % 2;
            uint32_t sum = (uint32_t)(job->part_offset == 0 ? weights[channel] : sums[i]);
            for (int32_t step = 0; step < steps; step++) {
                const uint32_t *words = job->panel + 8 * step + column;
                sum += thimble_sums_step(form, words[0], words[4], (uint32_t)part[2 * step + channel]);
            }
            if (job->part_offset + job->part_bytes + thimble_pair_constants_bytes(form.shift) == job->pair_bytes) {
                const int32_t count = thimble_channel_constants(form.shift);
                const int32_t *constants = weights + job->pair_bytes / 4 - (2 - channel) * count;
                job->outputs[column][first + channel] = thimble_sums_output(form, tail, sum, constants);
            } else {
                sums[i] = (int32_t)sum;
            }
        }
        weights += job->pair_bytes / 4;
        sums += 8;
    }
}

/* The portable twin of the generated functions, with the same bytes. */
static inline void thimble_matmul_portable(thimble_sums_form form, const thimble_matmul_job *job) {
    const thimble_tail tail = {form.clamps, job->ceiling, job->offset};
    const int32_t steps = (job->pair_bytes - thimble_pair_constants_bytes(form.shift)) / 8;
    const int32_t *weights = job->weights;
    for (int32_t pair = 0; pair < job->channels; pair += 2) {
        const int32_t first = pair + 2 > job->channels ? job->channels - 2 : pair;
        for (int32_t i = 0; i < 2; i++) {
            const uint32_t *panel = job->panel;
            for (int8_t *const *output = job->outputs; output < job->tails_end; output++) {
                const int32_t half = output < job->outputs_end ? 4 : 1; /* words from the first half to the second */
                uint32_t sum = (uint32_t)weights[i];
                for (int32_t step = 0; step < steps; step++) {
                    const uint32_t w = (uint32_t)weights[2 + 2 * step + i];
                    sum += thimble_sums_step(form, panel[2 * half * step], panel[2 * half * step + half], w);
                }
                const int32_t *constants = weights + 2 + 2 * steps + i * thimble_channel_constants(form.shift);
                (*output)[first + i] = thimble_sums_output(form, tail, sum, constants);
                panel += half == 1 ? 2 * steps : (output - job->outputs) % 4 == 3 ? 8 * steps - 3 : 1;
            }
        }
        weights += job->pair_bytes / 4;
    }
}

#endif
