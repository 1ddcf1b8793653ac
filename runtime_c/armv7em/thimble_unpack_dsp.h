/* SPDX-License-Identifier: 0BSD */
/* Weights of 2 or 4 bits for the kernels of this family, which read words of four bytes or of two lanes. */
#ifndef THIMBLE_UNPACK_DSP_H
#define THIMBLE_UNPACK_DSP_H

#include <stdint.h>

#include "thimble_columns_dsp.h"
#include "thimble_wide_rows_dsp.h"

/* thimble_row_matmul_job for weights of `bits` bits: each pair's are unpacked to where it is staged, and `function`
 * runs on that pair alone. In the table, fields w + 2^(bits - 1) of 8 / bits words of weights share one word, the first
 * in its lowest bits: byte i of all its fields at 2^bits - 1 is weight i of a word. Biases and constants stand as they
 * are. `folded` as in thimble_sums_form. */
void thimble_unpacked_pairs_dsp(const thimble_row_matmul_job *job, thimble_row_matmul_function function, int bits,
                                int folded);

/* The same for columns: a pair's weights are unpacked to job->spare, which holds job->pair_bytes. */
void thimble_unpacked_columns_dsp(const thimble_matmul_job *job, thimble_matmul_function function, int bits,
                                  int folded);

#endif
