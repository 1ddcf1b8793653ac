/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_REQUANTIZE_PACKED_H
#define THIMBLE_REQUANTIZE_PACKED_H

#include <stdint.h>

#include "thimble_common.h"
#include "thimble_packed.h"

/* Zero points and output limits in the range of their element type. */
typedef struct {
    int32_t pixels;
    int32_t channels;
    int32_t input_zero_point;
    int32_t multiplier; /* input scale / output scale = multiplier * 2^(shift - 31) */
    int32_t shift;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
} thimble_requantize_packed_params;

/* From one scale and zero point to another, elements of 2, 4 or 8 bits.
 * input, output (pixels, channels), each pixel from a byte on; may be one tensor where the output has no more bits */
static inline void thimble_requantize_packed(const thimble_requantize_packed_params *params, const void *input,
                                             void *output, int input_bits, int output_bits) {
    const thimble_requantize_packed_params copy = *params;
    const thimble_requantize_packed_params *p = &copy;
    const uint8_t *in = input;
    thimble_packed_writer out = {output, 0, 0};
    for (int32_t pixel = 0; pixel < p->pixels; pixel++) {
        for (int32_t c = 0; c < p->channels; c++) {
            const int32_t centred = thimble_packed_get(in, c, input_bits) - p->input_zero_point;
            const int32_t scaled = thimble_requantize(centred, p->multiplier, p->shift);
            const int32_t value = thimble_add(scaled, p->output_zero_point);
            thimble_packed_put(&out, thimble_clamp(value, p->output_min, p->output_max), output_bits);
        }
        thimble_packed_end(&out);
        in += thimble_packed_bytes(p->channels, input_bits);
    }
}

#endif
