/* SPDX-License-Identifier: 0BSD */
#include "thimble_requantize_s16_s32.h"

void thimble_requantize_s16_s32(const thimble_requantize_s16_s32_params *params, const int16_t *input,
                                int32_t *output) {
    for (int32_t i = 0; i < params->count; i++) {
        output[i] = thimble_requantize_value(params, input[i]);
    }
}
