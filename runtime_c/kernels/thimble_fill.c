/* SPDX-License-Identifier: 0BSD */
#include "thimble_fill.h"

#include <string.h>

void thimble_fill(const thimble_fill_params *params, void *output) {
    const size_t element_bytes = (size_t)params->element_bytes;
    uint8_t *out = (uint8_t *)output;
    if (element_bytes == 1) {
        memset(out, params->pattern[0], (size_t)params->elements);
        return;
    }
    for (int32_t i = 0; i < params->elements; i++) {
        memcpy(out, params->pattern, element_bytes);
        out += element_bytes;
    }
}
