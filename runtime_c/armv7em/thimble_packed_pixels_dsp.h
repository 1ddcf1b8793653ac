/* SPDX-License-Identifier: 0BSD */
/* Pointwise kernels for int8, run on whole tensors of 2 or 4 bits, some pixels at a time. */
#ifndef THIMBLE_PACKED_PIXELS_DSP_H
#define THIMBLE_PACKED_PIXELS_DSP_H

#include <stdint.h>

#include "thimble_packed_runs_dsp.h"
#include "thimble_rows.h"

/* Bits 2, 4 or 8. A side of 8 bits is left as it is. */
typedef struct {
    int32_t pixels;  /* of all images */
    int32_t at_once; /* the most that are unpacked */
    int32_t input_channels;
    int32_t input_bits;
    int32_t output_channels;
    int32_t output_bits;
} thimble_packed_pixels_params;

/* Some pixels as int8: where they lie, or in scratch. */
typedef struct {
    const thimble_packed_pixels_params *p;
    uint8_t *packed_input;
    uint8_t *packed_output;
    thimble_rows input;
    thimble_rows output;
} thimble_packed_pixels;

/* Begin with the first pixels. scratch holds at_once pixels of int8 where the input is packed, rounded up to 4, then
 * as many where the output is. */
thimble_packed_pixels thimble_packed_pixels_open(const thimble_packed_pixels_params *params, const thimble_rows *input,
                                                 const thimble_rows *output, void *scratch);

/* Unpack the next `count` pixels. */
void thimble_packed_pixels_fetch(const thimble_packed_pixels *pixels, int32_t count);

/* Pack them, which were made, and go on behind them. */
void thimble_packed_pixels_store(thimble_packed_pixels *pixels, int32_t count);

#endif
