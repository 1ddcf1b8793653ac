/* SPDX-License-Identifier: 0BSD */
#include "thimble_requantize_s8_s8.h"

void thimble_requantize_s8_s8(const thimble_requantize_s8_s8_params *params, const int8_t *input, int8_t *output) {
    for (int32_t i = 0; i < params->count; i++) {
        output[i] = (int8_t)thimble_requantize_value(params, input[i]);
    }
}
