/* SPDX-License-Identifier: 0BSD */
#include "thimble_quantize_s8.h"

void thimble_quantize_s8(const thimble_quantize_s8_params *params, const float *input, int8_t *output) {
    for (int32_t i = 0; i < params->count; i++) {
        output[i] = (int8_t)thimble_quantize_value(params, input[i], INT8_MIN, INT8_MAX);
    }
}
