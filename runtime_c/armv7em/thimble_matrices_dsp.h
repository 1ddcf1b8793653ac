/* SPDX-License-Identifier: 0BSD */
/* Batched products of two computed matrices, widened to int16 and without zero points, two rows by four columns. */
#ifndef THIMBLE_MATRICES_DSP_H
#define THIMBLE_MATRICES_DSP_H

#include <stdint.h>

#include "thimble_batch_matmul.h"

/* Columns that are laid out at once, a multiple of 4; how sums become outputs, as functions are generated for it. */
typedef struct {
    thimble_batch_matmul_params matmul;
    int32_t columns_at_once;
    int32_t scale_bits;
    int32_t rounds_ties;
    int32_t last_shift;
    int32_t constants[2]; /* multiplier and addend of scaled sums */
} thimble_matrices_dsp_params;

/* Outputs of two rows by four columns: bytes of the first row, then those of the second.
 * rows (steps, 2), columns (steps, 4): words of two values of the depth */
typedef uint64_t (*thimble_matrices_function)(const uint32_t *rows, const uint32_t *columns, const uint32_t *rows_end,
                                              const int32_t *constants);

/* As thimble_batch_matmul_s8; without DSP instructions a portable twin takes the place of `function`.
 * scratch: words for columns_at_once columns and two rows, half a word for each value of a depth that is rounded up to
 * a multiple of 4 */
void thimble_matrices_dsp(const thimble_matrices_dsp_params *params, thimble_matrices_function function,
                          const int8_t *left, const int8_t *right, uint32_t *scratch, int8_t *output);

#endif
