/* SPDX-License-Identifier: 0BSD */
#include "thimble_add_scalar.h"

#include "thimble_common.h"

void thimble_add_scalar(const thimble_add_scalar_params *params, const int8_t *input1, const int8_t *input2,
                        int8_t *output) {
    /* Bytes that are stored may alias anything but this copy. */
    const thimble_add_scalar_params p = *params;
    const int8_t *end = input1 + p.count;
    while (input1 != end) {
        const int32_t sum = p.a * *input1++ + p.b * *input2++ + p.c;
        *output++ = (int8_t)thimble_clamp(sum >> p.shift, p.output_min, p.output_max);
    }
}
