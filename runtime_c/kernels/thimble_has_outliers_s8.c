/* SPDX-License-Identifier: 0BSD */
#include "thimble_has_outliers_s8.h"

void thimble_has_outliers_s8(const thimble_has_outliers_s8_params *params, const int8_t *input, uint8_t *output) {
    const int32_t low = params->low;
    const int32_t high = params->high;
    const int8_t *const end = input + params->count;
    while (input < end && *input >= low && *input <= high) {
        input++;
    }
    *output = input < end ? 1u : 0u;
}
