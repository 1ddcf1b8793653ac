/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_FULLY_CONNECTED_PACKED_H
#define THIMBLE_FULLY_CONNECTED_PACKED_H

#include <stdint.h>

#include "thimble_common.h"
#include "thimble_fully_connected_s8.h"
#include "thimble_packed.h"

/* weights_zero_point is 0; zero points and output limits in the range of their own type. */
typedef thimble_fully_connected_s8_params thimble_fully_connected_packed_params;

/* Matrix product, activations and weights of 2, 4 or 8 bits, int32 accumulators, one multiplier and shift for each
 * output channel.
 * input (rows, depth), weights (output_channels, depth), output (rows, output_channels): each row from a byte on
 * bias, multipliers, shifts (output_channels) */
static inline void thimble_fully_connected_packed(const thimble_fully_connected_packed_params *params,
                                                  const void *input, const void *weights, const int32_t *bias,
                                                  const int32_t *multipliers, const int8_t *shifts, void *output,
                                                  thimble_packed_widths bits) {
    const thimble_fully_connected_packed_params copy = *params;
    const thimble_fully_connected_packed_params *p = &copy;
    const int32_t row_bytes = thimble_packed_bytes(p->depth, bits.input);
    const int32_t channel_bytes = thimble_packed_bytes(p->depth, bits.weights);
    thimble_packed_run in = {input, 0, bits.input};
    thimble_packed_writer out = {output, 0, 0};
    for (int32_t row = 0; row < p->rows; row++) {
        thimble_packed_run w = {weights, 0, bits.weights};
        for (int32_t o = 0; o < p->output_channels; o++) {
            const int32_t sum = bias[o] + thimble_packed_dot(in, p->input_zero_point, w, p->depth);
            const int32_t value = thimble_add(thimble_requantize(sum, multipliers[o], shifts[o]), p->output_zero_point);
            thimble_packed_put(&out, thimble_clamp(value, p->output_min, p->output_max), bits.output);
            w.values += channel_bytes;
        }
        thimble_packed_end(&out);
        in.values += row_bytes;
    }
}

#endif
