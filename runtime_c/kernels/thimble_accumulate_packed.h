/* SPDX-License-Identifier: 0BSD */
/* Kernels that take a packed input row by row and give their output after the last one; elements of 2, 4 or 8 bits.
 * input (input_height, input_width, channels), each pixel from a byte on; sums or maxima (channels) last from the first
 * call to the last; output (channels); the call takes rows [first, end). */
#ifndef THIMBLE_ACCUMULATE_PACKED_H
#define THIMBLE_ACCUMULATE_PACKED_H

#include "thimble_accumulate.h"
#include "thimble_packed.h"

typedef thimble_accumulate_params thimble_average_pool_2d_accumulate_packed_params;
typedef thimble_accumulate_params thimble_max_accumulate_packed_params;

typedef struct {
    int32_t input_height;
    int32_t input_width;
    int32_t channels;
    int32_t offset;     /* - input_height * input_width * input zero point, modulo 2^32 */
    int32_t multiplier; /* from the sum to the output's units: multiplier * 2^(shift - 31) */
    int32_t shift;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
} thimble_reduce_sum_accumulate_packed_params;

/* start plus all elements of one channel of a row, modulo 2^32. */
static inline int32_t thimble_packed_row_sum(int32_t start, const uint8_t *in, int32_t width, int32_t channels,
                                             int32_t channel, int bits) {
    int32_t sum = start;
    for (int32_t x = 0; x < width; x++) {
        sum = thimble_add(sum, thimble_packed_get(in, channel, bits));
        in += thimble_packed_bytes(channels, bits);
    }
    return sum;
}

/* The mean, halves away from zero. */
static inline void thimble_average_pool_2d_accumulate_packed(const thimble_accumulate_params *params,
                                                             const thimble_rows *input, int32_t *sums, void *output,
                                                             int32_t first, int32_t end, int bits) {
    const thimble_accumulate_params *p = params;
    for (int32_t y = first; y < end; y++) {
        const uint8_t *in = thimble_row(input, y);
        for (int32_t c = 0; c < p->channels; c++) {
            sums[c] = thimble_packed_row_sum(y == 0 ? 0 : sums[c], in, p->input_width, p->channels, c, bits);
        }
    }
    if (end == p->input_height) {
        const int32_t count = p->input_height * p->input_width;
        thimble_packed_writer out = {output, 0, 0};
        for (int32_t c = 0; c < p->channels; c++) {
            const int32_t sum = sums[c];
            const int32_t value = thimble_rounded_mean(sum, count);
            thimble_packed_put(&out, thimble_clamp(value, p->output_min, p->output_max), bits);
        }
        thimble_packed_end(&out);
    }
}

/* The largest element. */
static inline void thimble_max_accumulate_packed(const thimble_accumulate_params *params, const thimble_rows *input,
                                                 int32_t *maxima, void *output, int32_t first, int32_t end, int bits) {
    const thimble_accumulate_params *p = params;
    for (int32_t y = first; y < end; y++) {
        const uint8_t *row = thimble_row(input, y);
        for (int32_t c = 0; c < p->channels; c++) {
            const uint8_t *in = row;
            int32_t max = y == 0 ? INT8_MIN : maxima[c];
            for (int32_t x = 0; x < p->input_width; x++) {
                const int32_t value = thimble_packed_get(in, c, bits);
                max = value > max ? value : max;
                in += thimble_packed_bytes(p->channels, bits);
            }
            maxima[c] = max;
        }
    }
    if (end == p->input_height) {
        thimble_packed_writer out = {output, 0, 0};
        for (int32_t c = 0; c < p->channels; c++) {
            thimble_packed_put(&out, thimble_clamp(maxima[c], p->output_min, p->output_max), bits);
        }
        thimble_packed_end(&out);
    }
}

/* The sum, scaled. */
static inline void thimble_reduce_sum_accumulate_packed(const thimble_reduce_sum_accumulate_packed_params *params,
                                                        const thimble_rows *input, int32_t *sums, void *output,
                                                        int32_t first, int32_t end, int input_bits, int output_bits) {
    const thimble_reduce_sum_accumulate_packed_params *p = params;
    for (int32_t y = first; y < end; y++) {
        const uint8_t *in = thimble_row(input, y);
        for (int32_t c = 0; c < p->channels; c++) {
            sums[c] = thimble_packed_row_sum(y == 0 ? 0 : sums[c], in, p->input_width, p->channels, c, input_bits);
        }
    }
    if (end == p->input_height) {
        thimble_packed_writer out = {output, 0, 0};
        for (int32_t c = 0; c < p->channels; c++) {
            const int32_t scaled = thimble_requantize(thimble_add(sums[c], p->offset), p->multiplier, p->shift);
            const int32_t value = thimble_add(scaled, p->output_zero_point);
            thimble_packed_put(&out, thimble_clamp(value, p->output_min, p->output_max), output_bits);
        }
        thimble_packed_end(&out);
    }
}

#endif
