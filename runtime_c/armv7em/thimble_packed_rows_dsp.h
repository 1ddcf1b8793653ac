/* SPDX-License-Identifier: 0BSD */
/* Kernels for int8, run on rows of 2 or 4 bits: what some output rows need is unpacked, and what is made is packed. */
#ifndef THIMBLE_PACKED_ROWS_DSP_H
#define THIMBLE_PACKED_ROWS_DSP_H

#include <stdint.h>

#include "thimble_packed_runs_dsp.h"
#include "thimble_rows.h"

/* Sizes in elements; bits 2, 4 or 8. A side of 8 bits is left as it is. */
typedef struct {
    int32_t input_rows; /* of all images */
    int32_t input_height;
    int32_t input_width;
    int32_t input_channels;
    int32_t input_bits;
    int32_t first_row; /* that a window at the top would read, below 0 where there is padding */
    int32_t stride;
    int32_t reach;       /* rows from the first of a window to its last */
    int32_t output_rows; /* of all images */
    int32_t output_height;
    int32_t output_width;
    int32_t output_channels;
    int32_t output_bits;
    int32_t at_once; /* output rows that are made at once */
} thimble_packed_rows_params;

/* Rows under some windows, each in the place of the one as many above it as are held; and the output rows of these. */
typedef struct {
    const thimble_packed_rows_params *p;
    thimble_rows packed_input;
    thimble_rows packed_output;
    thimble_rows input;
    thimble_rows output;
    int32_t next; /* the first row that is not unpacked */
} thimble_packed_rows;

/* Begin a call. scratch holds, where the input is packed, 2 bytes for each of input_rows, rounded up to 4, then
 * (at_once - 1) * stride + reach rows of int8, each rounded up to 4; where the output is packed, the same for
 * output_rows and at_once. */
thimble_packed_rows thimble_packed_rows_open(const thimble_packed_rows_params *params, const thimble_rows *input,
                                             const thimble_rows *output, void *scratch);

/* Unpack what output rows from `row` on need, and return the row behind the last of these, `end` at most; rows are
 * asked for in order. */
int32_t thimble_packed_rows_fetch(thimble_packed_rows *rows, int32_t row, int32_t end);

/* Pack output rows [row, end), which were made. */
void thimble_packed_rows_store(const thimble_packed_rows *rows, int32_t row, int32_t end);

#endif
