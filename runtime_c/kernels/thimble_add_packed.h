/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_ADD_PACKED_H
#define THIMBLE_ADD_PACKED_H

#include <stdint.h>

#include "thimble_add.h"
#include "thimble_packed.h"

/* The last two of `dims` are pixels and channels, the others 1; nothing is broadcast, so that strides are not used. */
typedef thimble_add_params thimble_add_packed_params;

/* input1 + sign * input2, elements of 2, 4 or 8 bits of any scales.
 * input1, input2, output (pixels, channels), each pixel from a byte on */
static inline void thimble_add_packed(const thimble_add_packed_params *params, const void *input1, const void *input2,
                                      void *output, int bits1, int bits2, int output_bits) {
    const int left_shift = 20; /* as thimble_add_s8 */
    const int32_t channels = params->dims[THIMBLE_BROADCAST_LAST];
    const uint8_t *a = input1;
    const uint8_t *b = input2;
    thimble_packed_writer out = {output, 0, 0};
    for (int32_t pixel = 0; pixel < params->dims[THIMBLE_BROADCAST_LAST - 1]; pixel++) {
        for (int32_t c = 0; c < channels; c++) {
            const int32_t value = thimble_add_values(params, left_shift, thimble_packed_get(a, c, bits1),
                                                     thimble_packed_get(b, c, bits2));
            thimble_packed_put(&out, value, output_bits);
        }
        thimble_packed_end(&out);
        a += thimble_packed_bytes(channels, bits1);
        b += thimble_packed_bytes(channels, bits2);
    }
}

#endif
