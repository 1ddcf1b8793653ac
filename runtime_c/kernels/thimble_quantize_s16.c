/* SPDX-License-Identifier: 0BSD */
#include "thimble_quantize_s16.h"

void thimble_quantize_s16(const thimble_quantize_s16_params *params, const float *input, int16_t *output) {
    for (int32_t i = 0; i < params->count; i++) {
        output[i] = (int16_t)thimble_quantize_value(params, input[i], INT16_MIN, INT16_MAX);
    }
}
