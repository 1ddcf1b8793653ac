/* SPDX-License-Identifier: 0BSD */
/* Products of four bytes at once with the DSP instructions of Armv7E-M, and the same in portable C. */
#ifndef THIMBLE_LANES_SCALAR_H
#define THIMBLE_LANES_SCALAR_H

#include <stdint.h>
#include <string.h>

/* Four numbers as lanes of 16 bits: numbers 0 and 2, and numbers 1 and 3. */
typedef struct {
    uint32_t even;
    uint32_t odd;
} thimble_lanes;

/* Two numbers as one word. */
static inline uint32_t thimble_lane_pair(int32_t low, int32_t high) {
    return ((uint32_t)low & 0xFFFFu) | (uint32_t)high << 16;
}

/* Four signed bytes at any address. */
static inline thimble_lanes thimble_lanes_at(const int8_t *from) {
    thimble_lanes lanes;
#if defined(__ARM_FEATURE_DSP)
    uint32_t word;
    memcpy(&word, from, sizeof word);
    __asm__("sxtb16 %0, %1" : "=r"(lanes.even) : "r"(word));
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(lanes.odd) : "r"(word));
#else
    lanes.even = thimble_lane_pair(from[0], from[2]);
    lanes.odd = thimble_lane_pair(from[1], from[3]);
#endif
    return lanes;
}

/* The differences of two words of lanes. */
static inline uint32_t thimble_lanes_less(uint32_t a, uint32_t b) {
#if defined(__ARM_FEATURE_DSP)
    uint32_t lanes;
    __asm__("usub16 %0, %1, %2" : "=r"(lanes) : "r"(a), "r"(b) : "cc");
    return lanes;
#else
    return thimble_lane_pair((int32_t)(a & 0xFFFFu) - (int32_t)(b & 0xFFFFu), (int32_t)(a >> 16) - (int32_t)(b >> 16));
#endif
}

/* A sum and the products of two words of lanes. */
static inline int32_t thimble_lanes_product(int32_t sum, uint32_t a, uint32_t b) {
#if defined(__ARM_FEATURE_DSP)
    __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
    return sum;
#else
    return sum + (int16_t)(a & 0xFFFFu) * (int16_t)(b & 0xFFFFu) + (int16_t)(a >> 16) * (int16_t)(b >> 16);
#endif
}

#endif
