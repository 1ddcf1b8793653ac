/* SPDX-License-Identifier: 0BSD */
#include "thimble_dequantize_s16.h"

void thimble_dequantize_s16(const thimble_dequantize_s16_params *params, const int16_t *input, float *output) {
    for (int32_t i = 0; i < params->count; i++) {
        output[i] = params->scale * (float)(input[i] - params->zero_point);
    }
}
