/* SPDX-License-Identifier: 0BSD */
/* Sigmoid and hyperbolic tangent by interpolation in one table, as TFLite Micro's int16 kernels do. */
#ifndef THIMBLE_SIGMOID_H
#define THIMBLE_SIGMOID_H

#include <stdint.h>

/* table (256): sigmoid(i / 24) * 2^16 - 2^15. x in units of 1 / (3 * 2^12); the result is sigmoid(x) * 2^15. */
static inline int16_t thimble_logistic_q15(const int16_t *table, int32_t x) {
    const int32_t size = x < 0 ? -x : x;
    const int32_t index = size >> 9;
    int32_t result = 0x7FFF << 10;
    if (index < 255) {
        result = (table[index] + 32768) * (1 << 9) + (size & 0x1FF) * (table[index + 1] - table[index]);
    }
    result = x >= 0 ? result + (1 << 9) : (1 << 25) - result + (1 << 9) - 1;
    return (int16_t)(result >> 10);
}

/* The same table and units; the result is tanh(x) * 2^15 = (2 * sigmoid(2 * x) - 1) * 2^15. */
static inline int16_t thimble_tanh_q15(const int16_t *table, int32_t x) {
    const int32_t size = x < 0 ? -x : x;
    const int32_t index = size >> 8;
    int32_t result = 0xFFFF << 8;
    if (index < 255) {
        result = (table[index] + 32768) * (1 << 8) + (size & 0xFF) * (table[index + 1] - table[index]);
    }
    result = x >= 0 ? result - (1 << 23) + (1 << 7) : (1 << 23) - result + (1 << 7) - 1;
    return (int16_t)(result >> 8);
}

#endif
