/* SPDX-License-Identifier: 0BSD */
#include "thimble_has_outliers_s8.h"

void thimble_has_outliers_s8(const thimble_has_outliers_s8_params *params, const int8_t *input, uint8_t *output) {
    const int32_t low = params->low;
    const int32_t high = params->high;
    int outside = 0;
    for (int32_t i = 0; i < params->count; i++) {
        outside |= (input[i] < low) | (input[i] > high);
    }
    *output = (uint8_t)outside;
}
