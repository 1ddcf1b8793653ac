/* SPDX-License-Identifier: 0BSD */
/* The DSP instructions of Armv7E-M that kernels use, and the same in portable C for every other machine. */
#ifndef THIMBLE_DSP_H
#define THIMBLE_DSP_H

#include <stdint.h>
#include <string.h>

/* Four bytes from any address; all machines that run this are little-endian. */
static inline uint32_t thimble_load_4(const int8_t *from) {
    uint32_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

/* Two lanes of 16 bits as one word. */
static inline uint32_t thimble_pair(int32_t low, int32_t high) {
    return ((uint32_t)low & 0xFFFFu) | (uint32_t)high << 16;
}

/* The signed low lane of a word, and the high one. */
static inline int32_t thimble_low(uint32_t word) {
    return (int16_t)(word & 0xFFFFu);
}

static inline int32_t thimble_high(uint32_t word) {
    return (int16_t)(word >> 16);
}

/* Bytes 0 and 2 with their signs as two lanes. */
static inline uint32_t thimble_even_bytes(uint32_t word) {
#if defined(__ARM_FEATURE_DSP)
    uint32_t lanes;
    __asm__("sxtb16 %0, %1" : "=r"(lanes) : "r"(word));
    return lanes;
#else
    return thimble_pair((int8_t)(word & 0xFFu), (int8_t)(word >> 16 & 0xFFu));
#endif
}

/* Bytes 1 and 3 with their signs as two lanes. */
static inline uint32_t thimble_odd_bytes(uint32_t word) {
#if defined(__ARM_FEATURE_DSP)
    uint32_t lanes;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(lanes) : "r"(word));
    return lanes;
#else
    return thimble_even_bytes(word >> 8);
#endif
}

/* Lane by lane modulo 2^16. */
static inline uint32_t thimble_add_lanes(uint32_t a, uint32_t b) {
#if defined(__ARM_FEATURE_DSP)
    uint32_t lanes;
    __asm__("sadd16 %0, %1, %2" : "=r"(lanes) : "r"(a), "r"(b));
    return lanes;
#else
    return ((a + b) & 0xFFFFu) | ((a & 0xFFFF0000u) + (b & 0xFFFF0000u));
#endif
}

static inline uint32_t thimble_subtract_lanes(uint32_t a, uint32_t b) {
#if defined(__ARM_FEATURE_DSP)
    uint32_t lanes;
    __asm__("ssub16 %0, %1, %2" : "=r"(lanes) : "r"(a), "r"(b));
    return lanes;
#else
    return ((a - b) & 0xFFFFu) | ((a & 0xFFFF0000u) - (b & 0xFFFF0000u));
#endif
}

#endif
