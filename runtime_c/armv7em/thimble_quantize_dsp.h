/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_QUANTIZE_DSP_H
#define THIMBLE_QUANTIZE_DSP_H

#include "thimble_quantize.h"

typedef struct {
    int32_t count; /* elements */
    float scale;
    int32_t zero_point;
    float inverse;         /* 2^16 / scale, rounded */
    uint32_t largest_bits; /* the largest magnitude that is multiplied, 500 * scale, as it lies in memory */
} thimble_quantize_dsp_params;

/* As thimble_quantize_s8. */
void thimble_quantize_dsp(const thimble_quantize_dsp_params *params, const float *input, int8_t *output);

#endif
