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

/* Four bytes to any address. */
static inline void thimble_store_4(int8_t *to, uint32_t word) {
    memcpy(to, &word, sizeof word);
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

/* Bytes 0 and 2 without signs as two lanes, and bytes 1 and 3. */
static inline uint32_t thimble_even_unsigned(uint32_t word) {
#if defined(__ARM_FEATURE_DSP)
    uint32_t lanes;
    __asm__("uxtb16 %0, %1" : "=r"(lanes) : "r"(word));
    return lanes;
#else
    return word & 0x00FF00FFu;
#endif
}

static inline uint32_t thimble_odd_unsigned(uint32_t word) {
#if defined(__ARM_FEATURE_DSP)
    uint32_t lanes;
    __asm__("uxtb16 %0, %1, ror #8" : "=r"(lanes) : "r"(word));
    return lanes;
#else
    return word >> 8 & 0x00FF00FFu;
#endif
}

/* Four differences of bytes, each modulo 2^8. */
static inline uint32_t thimble_subtract_bytes(uint32_t a, uint32_t b) {
#if defined(__ARM_FEATURE_DSP)
    uint32_t bytes;
    __asm__("usub8 %0, %1, %2" : "=r"(bytes) : "r"(a), "r"(b) : "cc");
    return bytes;
#else
    return ((a | 0x80808080u) - (b & 0x7F7F7F7Fu)) ^ ((a ^ ~b) & 0x80808080u);
#endif
}

/* Two differences of lanes, each modulo 2^16. */
static inline uint32_t thimble_subtract_lanes(uint32_t a, uint32_t b) {
#if defined(__ARM_FEATURE_DSP)
    uint32_t lanes;
    __asm__("usub16 %0, %1, %2" : "=r"(lanes) : "r"(a), "r"(b) : "cc");
    return lanes;
#else
    return ((a | 0x80008000u) - (b & 0x7FFF7FFFu)) ^ ((a ^ ~b) & 0x80008000u);
#endif
}

/* The bytes of each lane changed about. */
static inline uint32_t thimble_swap_bytes(uint32_t word) {
#if defined(__ARM_FEATURE_DSP)
    uint32_t lanes;
    __asm__("rev16 %0, %1" : "=r"(lanes) : "r"(word));
    return lanes;
#else
    return (word << 8 & 0xFF00FF00u) | (word >> 8 & 0x00FF00FFu);
#endif
}

/* Lanes and the same bytes added to them, modulo 2^16. */
static inline uint32_t thimble_add_even_bytes(uint32_t lanes, uint32_t word) {
#if defined(__ARM_FEATURE_DSP)
    uint32_t sums;
    __asm__("sxtab16 %0, %1, %2" : "=r"(sums) : "r"(lanes), "r"(word));
    return sums;
#else
    const uint32_t bytes = thimble_even_bytes(word);
    return thimble_pair(thimble_low(lanes) + thimble_low(bytes), thimble_high(lanes) + thimble_high(bytes));
#endif
}

static inline uint32_t thimble_add_odd_bytes(uint32_t lanes, uint32_t word) {
#if defined(__ARM_FEATURE_DSP)
    uint32_t sums;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(sums) : "r"(lanes), "r"(word));
    return sums;
#else
    const uint32_t bytes = thimble_odd_bytes(word);
    return thimble_pair(thimble_low(lanes) + thimble_low(bytes), thimble_high(lanes) + thimble_high(bytes));
#endif
}

/* The low lanes of two words, and the high ones: (a, b). */
static inline uint32_t thimble_low_lanes(uint32_t a, uint32_t b) {
#if defined(__ARM_FEATURE_DSP)
    uint32_t lanes;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(lanes) : "r"(a), "r"(b));
    return lanes;
#else
    return (a & 0xFFFFu) | b << 16;
#endif
}

static inline uint32_t thimble_high_lanes(uint32_t a, uint32_t b) {
#if defined(__ARM_FEATURE_DSP)
    uint32_t lanes;
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(lanes) : "r"(b), "r"(a));
    return lanes;
#else
    return a >> 16 | (b & 0xFFFF0000u);
#endif
}

/* The larger of the signed bytes of two words, and the smaller. */
static inline uint32_t thimble_max_bytes(uint32_t a, uint32_t b) {
    uint32_t larger = 0;
#if defined(__ARM_FEATURE_DSP)
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(larger) : "r"(a), "r"(b) : "cc");
#else
    for (int at = 0; at < 32; at += 8) {
        const uint32_t from = (int8_t)(a >> at & 0xFFu) >= (int8_t)(b >> at & 0xFFu) ? a : b;
        larger |= from & (uint32_t)0xFF << at;
    }
#endif
    return larger;
}

static inline uint32_t thimble_min_bytes(uint32_t a, uint32_t b) {
    return ~thimble_max_bytes(~a, ~b);
}

/* The high word of a product: SMMUL. */
static inline int32_t thimble_high_product(int32_t a, int32_t b) {
    return (int32_t)(((int64_t)a * b) >> 32);
}

/* How a requantized value becomes a byte: saturated, or where output limits are inside int8 made from the lower limit
 * up, limited by a saturating addition of `ceiling` and brought into place by `offset`; of both the low byte counts. */
typedef struct {
    int clamps;
    uint32_t ceiling;
    uint32_t offset;
} thimble_tail;

/* The portable twin of SSAT, or of USAT, UQADD8 and UADD8. */
static inline int8_t thimble_tail_byte(thimble_tail tail, int32_t value) {
    if (!tail.clamps) {
        return (int8_t)(value < -128 ? -128 : (value > 127 ? 127 : value));
    }
    const int32_t raised = (value < 0 ? 0 : (value > 255 ? 255 : value)) + (int32_t)(tail.ceiling & 0xFFu);
    const int32_t placed = ((raised > 255 ? 255 : raised) + (int32_t)(tail.offset & 0xFFu)) & 0xFF;
    return (int8_t)(placed > 127 ? placed - 256 : placed);
}

/* `words` words to a place before them or apart. */
static inline void thimble_move_words(const uint32_t *from, uint32_t *to, int32_t words) {
    for (; words >= 8; words -= 8) {
#if defined(__ARM_FEATURE_DSP)
        __asm__ volatile("ldmia %0!, {r3-r6, r8-r10, r12}\n\tstmia %1!, {r3-r6, r8-r10, r12}"
                         : "+r"(from), "+r"(to)
                         :
                         : "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r12", "memory");
#else
        memmove(to, from, 32);
        from += 8;
        to += 8;
#endif
    }
    for (; words > 0; words--) {
        *to++ = *from++;
    }
}

#endif
