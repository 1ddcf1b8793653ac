/* SPDX-License-Identifier: 0BSD */
#include "thimble_unpack_dsp.h"

/* What makes a word of four weights of four fields: (fields + addend) ^ flipped subtracts 2^(bits - 1) in each byte, or
 * in each lane of 16 bits, without borrowing from the next. */
typedef struct {
    uint32_t mask;
    uint32_t addend;
    uint32_t flipped;
} unpacking;

static inline unpacking unpacking_of(int bits, int folded) {
    const uint32_t ones = 0x01010101u;
    const uint32_t offset = ones << (bits - 1);
    const uint32_t flipped = folded ? 0x80008000u : 0x80808080u;
    const unpacking how = {ones * (((uint32_t)1 << bits) - 1), flipped - offset, flipped};
    return how;
}

/* `words` words of weights, an even number; returns the place behind them in the table. */
static inline const uint32_t *unpack(const uint32_t *from, uint32_t *to, int32_t words, int bits, unpacking how) {
    for (; words > 0; words -= 8 / bits) {
        uint32_t fields = *from++;
        to[0] = ((fields & how.mask) + how.addend) ^ how.flipped;
        to[1] = (((fields >> bits) & how.mask) + how.addend) ^ how.flipped;
        if (bits == 2 && words > 2) {
            fields >>= 4;
            to[2] = ((fields & how.mask) + how.addend) ^ how.flipped;
            to[3] = (((fields >> bits) & how.mask) + how.addend) ^ how.flipped;
        }
        to += 8 / bits;
    }
    return from;
}

/* A pair of channels: two biases, its weights, and six constants. */
static const uint32_t *unpack_pair(const uint32_t *from, uint32_t *to, int32_t words, int bits, unpacking how) {
    to[0] = *from++;
    to[1] = *from++;
    from = bits == 4 ? unpack(from, to + 2, words, 4, how) : unpack(from, to + 2, words, 2, how);
    for (int32_t i = 0; i < 6; i++) {
        to[2 + words + i] = *from++;
    }
    return from;
}

void thimble_unpacked_pairs_dsp(const thimble_row_matmul_job *job, thimble_row_matmul_function function, int bits,
                                int folded) {
    int8_t *outputs[THIMBLE_MAX_WIDE_ROWS];
    const unpacking how = unpacking_of(bits, folded);
    const int32_t rows = (int32_t)(job->outputs_end - job->outputs);
    const uint32_t *packed = (const uint32_t *)job->weights;
    thimble_row_matmul_job pair = *job;
    pair.weights = (const int32_t *)job->staged;
    pair.outputs = outputs;
    pair.outputs_end = outputs + rows;
    pair.channels = 2;
    for (int32_t channel = 0; channel < job->channels; channel += 2) {
        const int32_t first = channel + 2 > job->channels ? job->channels - 2 : channel;
        packed = unpack_pair(packed, job->staged, job->pair_bytes / 4 - 8, bits, how);
        for (int32_t i = 0; i < rows; i++) {
            outputs[i] = job->outputs[i] + first;
        }
        function(&pair);
    }
}

void thimble_unpacked_columns_dsp(const thimble_matmul_job *job, thimble_matmul_function function, int bits,
                                  int folded) {
    int8_t *outputs[THIMBLE_MAX_COLUMNS];
    const unpacking how = unpacking_of(bits, folded);
    const int32_t columns = (int32_t)(job->tails_end - job->outputs);
    const uint32_t *packed = (const uint32_t *)job->weights;
    thimble_matmul_job pair = *job;
    pair.weights = (const int32_t *)job->spare;
    pair.outputs = outputs;
    pair.outputs_end = outputs + (job->outputs_end - job->outputs);
    pair.tails_end = outputs + columns;
    pair.channels = 2;
    for (int32_t channel = 0; channel < job->channels; channel += 2) {
        const int32_t first = channel + 2 > job->channels ? job->channels - 2 : channel;
        packed = unpack_pair(packed, job->spare, job->pair_bytes / 4 - 8, bits, how);
        for (int32_t i = 0; i < columns; i++) {
            outputs[i] = job->outputs[i] + first;
        }
        function(&pair);
    }
}
