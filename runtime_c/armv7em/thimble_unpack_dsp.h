/* SPDX-License-Identifier: 0BSD */
/* Weights of 2 or 4 bits for the kernels of this family, which read words of four bytes or of two lanes.
 *
 * Packed, a pair of channels is two biases, its weights, and its constants. Fields w + 2^(bits - 1) of 8 / bits words
 * of four weights share one word, the first word in the lowest bits of each byte: byte i of all its fields at 2^bits -
 * 1 is weight i. */
#ifndef THIMBLE_UNPACK_DSP_H
#define THIMBLE_UNPACK_DSP_H

#include <stdint.h>

#include "thimble_columns_dsp.h"
#include "thimble_dsp.h"
#include "thimble_wide_rows_dsp.h"

/* Fields less 2^(bits - 1): each byte, or each lane of 16 bits where weights are folded. */
static inline uint32_t thimble_weights_of(uint32_t fields, int bits, int folded) {
    const uint32_t offset = 0x01010101u << (bits - 1);
    fields &= 0x01010101u * ((1u << bits) - 1);
    return folded ? thimble_subtract_lanes(fields, offset) : thimble_subtract_bytes(fields, offset);
}

/* Unpack a pair whose table has `words` words of weights, an even number, to `to`; returns the place behind the packed
 * pair. What 2 bits write too much is overwritten by the constants. */
static inline const uint32_t *thimble_unpack_pair(const uint32_t *from, uint32_t *to, int32_t words, int32_t shift,
                                                  int bits, int folded) {
    uint32_t *constants = to + 2 + words;
    to[0] = *from++;
    to[1] = *from++;
    for (to += 2; to < constants; to += 8 / bits) {
        const uint32_t fields = *from++;
        to[0] = thimble_weights_of(fields, bits, folded);
        to[1] = thimble_weights_of(fields >> bits, bits, folded);
        if (bits == 2) {
            to[2] = thimble_weights_of(fields >> 4, bits, folded);
            to[3] = thimble_weights_of(fields >> 6, bits, folded);
        }
    }
    for (int32_t i = 0; i < 2 * thimble_channel_constants(shift); i++) {
        constants[i] = *from++;
    }
    return from;
}

/* Unpack a table of `pairs` pairs, each of `words` words of weights; returns the place behind it, a multiple of 8 words
 * from `to`, with room for what kernels copy behind the last pair. */
static inline uint32_t *thimble_unpack_pairs(const void *packed, uint32_t *to, int32_t pairs, int32_t words,
                                             int32_t shift, int bits, int folded) {
    const uint32_t *from = packed;
    const int32_t pair_words = words + thimble_pair_constants_bytes(shift) / 4;
    for (int32_t pair = 0; pair < pairs; pair++) {
        from = thimble_unpack_pair(from, to + pair * pair_words, words, shift, bits, folded);
    }
    return to + (pairs * pair_words + 15) / 8 * 8;
}

/* thimble_row_matmul_job on packed weights: each pair's are unpacked to where it is staged, and `function` runs on that
 * pair alone. */
static inline void thimble_unpacked_pairs_dsp(const thimble_row_matmul_job *job, thimble_row_matmul_function function,
                                              int bits, int folded) {
    int8_t *outputs[THIMBLE_MAX_WIDE_ROWS];
    const int32_t rows = (int32_t)(job->outputs_end - job->outputs);
    const int32_t words = (job->pair_bytes - thimble_pair_constants_bytes(job->params->shift)) / 4;
    const uint32_t *packed = (const uint32_t *)job->weights;
    thimble_row_matmul_job pair = *job;
    pair.weights = (const int32_t *)job->staged;
    pair.outputs = outputs;
    pair.outputs_end = outputs + rows;
    pair.channels = 2;
    for (int32_t channel = 0; channel < job->channels; channel += 2) {
        const int32_t first = channel + 2 > job->channels ? job->channels - 2 : channel;
        packed = thimble_unpack_pair(packed, job->staged, words, job->params->shift, bits, folded);
        for (int32_t i = 0; i < rows; i++) {
            outputs[i] = job->outputs[i] + first;
        }
        function(&pair);
    }
}

/* The same for columns: a pair's weights are unpacked to job->spare, which holds job->pair_bytes. */
static inline void thimble_unpacked_columns_dsp(const thimble_matmul_job *job, thimble_matmul_function function,
                                                int bits, int folded) {
    int8_t *outputs[THIMBLE_MAX_COLUMNS];
    const int32_t columns = (int32_t)(job->tails_end - job->outputs);
    const int32_t words = (job->pair_bytes - thimble_pair_constants_bytes(job->shift)) / 4;
    const uint32_t *packed = (const uint32_t *)job->weights;
    thimble_matmul_job pair = *job;
    pair.weights = (const int32_t *)job->spare;
    pair.outputs = outputs;
    pair.outputs_end = outputs + (job->outputs_end - job->outputs);
    pair.tails_end = outputs + columns;
    pair.channels = 2;
    for (int32_t channel = 0; channel < job->channels; channel += 2) {
        const int32_t first = channel + 2 > job->channels ? job->channels - 2 : channel;
        packed = thimble_unpack_pair(packed, job->spare, words, job->shift, bits, folded);
        for (int32_t i = 0; i < columns; i++) {
            outputs[i] = job->outputs[i] + first;
        }
        function(&pair);
    }
}

#endif
