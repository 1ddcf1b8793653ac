/* SPDX-License-Identifier: 0BSD */
/* Elements of 2, 4 or 8 bits: several share a byte, the first in its lowest bits. Kernels are written once for all
 * widths, which are constants wherever these functions are inlined. */
#ifndef THIMBLE_PACKED_H
#define THIMBLE_PACKED_H

#include <stdint.h>

/* Element `index` of a run that begins at the byte `values`. */
static inline int32_t thimble_packed_get(const uint8_t *values, int32_t index, int bits) {
    if (bits == 8) {
        return ((const int8_t *)values)[index];
    }
    const int32_t at = index * bits;
    const uint32_t in_highest = (uint32_t)values[at / 8] << (32 - bits - at % 8);
    return (int32_t)in_highest >> (32 - bits);
}

/* Bytes of a run of `count` elements. */
static inline int32_t thimble_packed_bytes(int32_t count, int bits) {
    return (count * bits + 7) / 8;
}

/* From one pixel to the next, in elements: each begins at a byte of its own. */
static inline int32_t thimble_packed_pixel(int32_t channels, int bits) {
    return thimble_packed_bytes(channels, bits) * 8 / bits;
}

/* Where the next element goes, and those that wait for their byte to be full. */
typedef struct {
    uint8_t *at;
    uint32_t byte;
    int filled; /* bits */
} thimble_packed_writer;

/* Append an element. */
static inline void thimble_packed_put(thimble_packed_writer *to, int32_t value, int bits) {
    to->byte |= ((uint32_t)value & (((uint32_t)1 << bits) - 1)) << to->filled;
    to->filled += bits;
    if (to->filled == 8) {
        *to->at++ = (uint8_t)to->byte;
        to->byte = 0;
        to->filled = 0;
    }
}

/* End a run: the next element begins at a byte of its own. */
static inline void thimble_packed_end(thimble_packed_writer *to) {
    if (to->filled > 0) {
        *to->at++ = (uint8_t)to->byte;
        to->byte = 0;
        to->filled = 0;
    }
}

/* Bits of an element of each operand of a node with weights. */
typedef struct {
    int input;
    int weights;
    int output;
} thimble_packed_widths;

/* A run that begins at an element of a longer one. */
typedef struct {
    const uint8_t *values;
    int32_t first;
    int bits;
} thimble_packed_run;

/* The product of one element of each, input less its zero point. */
static inline int32_t thimble_packed_product(const uint8_t *in, int32_t i, int in_bits, int32_t zero_point,
                                             const uint8_t *weights, int32_t w, int weight_bits) {
    return (thimble_packed_get(in, i, in_bits) - zero_point) * thimble_packed_get(weights, w, weight_bits);
}

/* Sum of (input - zero point) * weight over `count` elements of two runs. Four elements at a time where both runs
 * begin at a byte: which bits to take is then known beforehand. */
static inline int32_t thimble_packed_dot(thimble_packed_run input, int32_t zero_point, thimble_packed_run weights,
                                         int32_t count) {
    int32_t sum = 0;
    int32_t done = 0;
    if (input.first * input.bits % 8 == 0 && weights.first * weights.bits % 8 == 0) {
        const uint8_t *in = input.values + input.first * input.bits / 8;
        const uint8_t *w = weights.values + weights.first * weights.bits / 8;
        for (; done + 4 <= count; done += 4) {
            sum += thimble_packed_product(in, 0, input.bits, zero_point, w, 0, weights.bits);
            sum += thimble_packed_product(in, 1, input.bits, zero_point, w, 1, weights.bits);
            sum += thimble_packed_product(in, 2, input.bits, zero_point, w, 2, weights.bits);
            sum += thimble_packed_product(in, 3, input.bits, zero_point, w, 3, weights.bits);
            in += input.bits / 2;
            w += weights.bits / 2;
        }
    }
    for (; done < count; done++) {
        sum += thimble_packed_product(input.values, input.first + done, input.bits, zero_point, weights.values,
                                      weights.first + done, weights.bits);
    }
    return sum;
}

#endif
