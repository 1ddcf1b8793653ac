/* SPDX-License-Identifier: 0BSD */
#include "thimble_dequantize_u8.h"

void thimble_dequantize_u8(const thimble_dequantize_u8_params *params, const uint8_t *input, float *output) {
    for (int32_t i = 0; i < params->count; i++) {
        output[i] = params->scale * (float)(input[i] - params->zero_point);
    }
}
