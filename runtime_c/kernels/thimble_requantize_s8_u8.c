/* SPDX-License-Identifier: 0BSD */
#include "thimble_requantize_s8_u8.h"

void thimble_requantize_s8_u8(const thimble_requantize_s8_u8_params *params, const int8_t *input, uint8_t *output) {
    for (int32_t i = 0; i < params->count; i++) {
        output[i] = (uint8_t)thimble_requantize_value(params, input[i]);
    }
}
