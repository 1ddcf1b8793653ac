/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_UNPACK_W2_DSP_H
#define THIMBLE_UNPACK_W2_DSP_H

#include "thimble_unpack_dsp.h"

/* thimble_unpacked_pairs_dsp for weights of 2 bits. */
void thimble_unpacked_pairs_w2_dsp(const thimble_row_matmul_job *job, thimble_row_matmul_function function, int folded);

/* thimble_unpacked_columns_dsp for weights of 2 bits. */
void thimble_unpacked_columns_w2_dsp(const thimble_matmul_job *job, thimble_matmul_function function, int folded);

/* thimble_unpack_pairs for weights of 2 bits. */
uint32_t *thimble_unpack_pairs_w2_dsp(const void *packed, uint32_t *to, int32_t pairs, int32_t words, int32_t shift,
                                      int folded);

#endif
