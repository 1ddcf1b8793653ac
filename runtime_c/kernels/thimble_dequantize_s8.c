/* SPDX-License-Identifier: 0BSD */
#include "thimble_dequantize_s8.h"

void thimble_dequantize_s8(const thimble_dequantize_s8_params *params, const int8_t *input, float *output) {
    for (int32_t i = 0; i < params->count; i++) {
        output[i] = params->scale * (float)(input[i] - params->zero_point);
    }
}
