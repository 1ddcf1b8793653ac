/* SPDX-License-Identifier: 0BSD */
#include "thimble_unpack_w4_dsp.h"

void thimble_unpacked_pairs_w4_dsp(const thimble_row_matmul_job *job, thimble_row_matmul_function function,
                                   int folded) {
    thimble_unpacked_pairs_dsp(job, function, 4, folded);
}

void thimble_unpacked_columns_w4_dsp(const thimble_matmul_job *job, thimble_matmul_function function, int folded) {
    thimble_unpacked_columns_dsp(job, function, 4, folded);
}

uint32_t *thimble_unpack_pairs_w4_dsp(const void *packed, uint32_t *to, int32_t pairs, int32_t words, int32_t shift,
                                      int folded) {
    return thimble_unpack_pairs(packed, to, pairs, words, shift, 4, folded);
}
