/* SPDX-License-Identifier: 0BSD */
#include "thimble_requantize_s16_s16.h"

void thimble_requantize_s16_s16(const thimble_requantize_s16_s16_params *params, const int16_t *input,
                                int16_t *output) {
    for (int32_t i = 0; i < params->count; i++) {
        output[i] = (int16_t)thimble_requantize_value(params, input[i]);
    }
}
