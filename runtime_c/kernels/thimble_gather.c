/* SPDX-License-Identifier: 0BSD */
#include "thimble_gather.h"

#include <string.h>

#include "thimble_common.h"

void thimble_gather(const thimble_gather_params *params, const void *input, const int32_t *indices, void *output) {
    const thimble_gather_params *p = params;
    const uint8_t *in = (const uint8_t *)input;
    uint8_t *out = (uint8_t *)output;
    for (int32_t batch = 0; batch < p->batches; batch++) {
        for (int32_t outer = 0; outer < p->outer; outer++) {
            for (int32_t i = 0; i < p->indices; i++) {
                const int32_t pick = thimble_clamp(indices[i], 0, p->size - 1);
                memcpy(out, in + pick * p->slice_bytes, (size_t)p->slice_bytes);
                out += p->slice_bytes;
            }
            in += p->size * p->slice_bytes;
        }
        indices += p->indices;
    }
}
