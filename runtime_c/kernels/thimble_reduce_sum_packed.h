/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_REDUCE_SUM_PACKED_H
#define THIMBLE_REDUCE_SUM_PACKED_H

#include <stdint.h>

#include "thimble_common.h"
#include "thimble_packed.h"

/* Zero point and output limits in the range of the output's type. */
typedef struct {
    int32_t pixels;
    int32_t channels;
    int32_t offset;     /* - pixels * input zero point, modulo 2^32 */
    int32_t multiplier; /* from the sum to the output's units: multiplier * 2^(shift - 31) */
    int32_t shift;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
} thimble_reduce_sum_packed_params;

/* The sum of each channel, scaled, elements of 2, 4 or 8 bits.
 * input (pixels, channels), each pixel from a byte on; output (channels) */
static inline void thimble_reduce_sum_packed(const thimble_reduce_sum_packed_params *params, const void *input,
                                             void *output, int input_bits, int output_bits) {
    const thimble_reduce_sum_packed_params *p = params;
    const int32_t pixel_bytes = thimble_packed_bytes(p->channels, input_bits);
    thimble_packed_writer out = {output, 0, 0};
    for (int32_t c = 0; c < p->channels; c++) {
        const uint8_t *in = input;
        int32_t sum = p->offset;
        for (int32_t pixel = 0; pixel < p->pixels; pixel++) {
            sum = thimble_add(sum, thimble_packed_get(in, c, input_bits));
            in += pixel_bytes;
        }
        const int32_t value = thimble_add(thimble_requantize(sum, p->multiplier, p->shift), p->output_zero_point);
        thimble_packed_put(&out, thimble_clamp(value, p->output_min, p->output_max), output_bits);
    }
    thimble_packed_end(&out);
}

#endif
