/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_UNPACK_W2_DSP_H
#define THIMBLE_UNPACK_W2_DSP_H

#include "thimble_unpack_dsp.h"

/* thimble_unpacked_pairs_dsp for weights of 2 bits. */
void thimble_unpacked_pairs_w2_dsp(const thimble_row_matmul_job *job, thimble_row_matmul_function function,
                                   thimble_unpacking how);

/* thimble_unpacked_columns_dsp for weights of 2 bits. */
void thimble_unpacked_columns_w2_dsp(const thimble_matmul_job *job, thimble_matmul_function function,
                                     thimble_unpacking how);

#endif
