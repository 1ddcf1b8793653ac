/* SPDX-License-Identifier: 0BSD */
/* Matrix products of one row at a time with packed weights. */
#ifndef THIMBLE_VECTOR_DSP_H
#define THIMBLE_VECTOR_DSP_H

#include <stdint.h>

#include "thimble_sums_dsp.h"

/* Sizes in elements. */
typedef struct {
    int32_t rows;
    int32_t depth;
    int32_t channels;
    int32_t input_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t folded; /* how sums are made: thimble_sums_form */
    int32_t scale_bits;
    int32_t rounds_ties;
    int32_t block;            /* channels at a time; the last block may overlap the one before */
    int32_t shares_constants; /* whether all channels have one multiplier, addend and shift */
    int32_t weight_bits;      /* 8, or 4 or 2: scale_bits tell then whether they become lanes or bytes */
    int32_t direct;           /* whether the row is read as it is, without scratch; it is whole words then */
} thimble_vector_dsp_params;

/* All channels of one row; the generated assembly reads the fields in this order.
 * row       (depth / 4, 2): two words for each four values, see thimble_sums_dsp.h; `direct` the input's own (depth)
 * weights   a block of channels: biases (block); words of four bytes (depth / 4, block), or of eight or sixteen weights
 *           below 8 bits; unless shared, multiplier, addend and shift (block, 3) */
typedef struct {
    const void *row;
    const int32_t *weights;
    const void *row_end;
    int8_t *output;
    int32_t channels;
    const int32_t *constants; /* multiplier, addend, shift of all channels, where they share them */
    uint32_t ceiling;         /* where output limits are inside int8, four times the same byte: 255 - (max - min) */
    uint32_t offset;          /* and min - ceiling */
} thimble_vector_job;

typedef void (*thimble_vector_function)(const thimble_vector_job *job);

/* Matrix product, int8, as thimble_fully_connected_s8 with a weights' zero point of 0. Each row is read before its
 * outputs are written: so the output may lie over the input wherever that of thimble_fully_connected_s8 may.
 * input (rows, depth); output (rows, channels); without DSP instructions a portable twin takes the place of `function`
 * packed   the shared constants, where they are, then the weights of thimble_vector_job
 * scratch  2 bytes for each value of a row, whose number is rounded up to that of whole words of weights; `direct`
 *          null */
void thimble_vector_dsp(const thimble_vector_dsp_params *params, thimble_vector_function function, const int8_t *input,
                        const int32_t *packed, uint32_t *scratch, int8_t *output);

#endif
