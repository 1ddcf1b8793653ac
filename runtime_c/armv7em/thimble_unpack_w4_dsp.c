/* SPDX-License-Identifier: 0BSD */
#include "thimble_unpack_w4_dsp.h"

void thimble_unpacked_pairs_w4_dsp(const thimble_row_matmul_job *job, thimble_row_matmul_function function,
                                   thimble_unpacking how) {
    thimble_unpacked_pairs_dsp(job, function, 4, how);
}

void thimble_unpacked_columns_w4_dsp(const thimble_matmul_job *job, thimble_matmul_function function,
                                     thimble_unpacking how) {
    thimble_unpacked_columns_dsp(job, function, 4, how);
}
