/* SPDX-License-Identifier: 0BSD */
/* Pixels and weights of the matrix products, four values at a time, and their sums: the generator's sums.py says how.
 */
#ifndef THIMBLE_SUMS_DSP_H
#define THIMBLE_SUMS_DSP_H

#include <stdint.h>

#include "thimble_dsp.h"

/* What a generated function is made for: see Arithmetic in the generator. */
typedef struct {
    int folded;
    int scale_bits;
    int rounds_ties;
    int clamps;
    int shift; /* the last shift of all channels, which have multipliers alone; 0: multiplier, addend, shift of each */
} thimble_sums_form;

/* Words behind a pair's weights for one of its two channels. */
static inline int32_t thimble_channel_constants(int32_t shift) {
    return shift != 0 ? 1 : 3;
}

/* Bytes of a pair's table beside its weights: two biases, and the constants. */
static inline int32_t thimble_pair_constants_bytes(int32_t shift) {
    return 8 + 8 * thimble_channel_constants(shift);
}

/* Bytes x0..x3 of a pixel as (x1, x3) and 256 * (x0, x2) - (x1, x3) + 127, for folded weights. */
static inline uint32_t thimble_first_folded(uint32_t x) {
    return thimble_odd_bytes(x);
}

static inline uint32_t thimble_second_folded(uint32_t x) {
    return thimble_swap_bytes(x) ^ 0x007F007Fu; /* 127 - x1 is 0x7F ^ x1 as a byte without sign */
}

/* Bytes x0..x3 of a pixel as (x0, x2) and (x1, x3), for plain weights. */
static inline uint32_t thimble_first_plain(uint32_t x) {
    return thimble_even_bytes(x);
}

static inline uint32_t thimble_second_plain(uint32_t x) {
    return thimble_odd_bytes(x);
}

/* Four bytes of a pixel as its two words. */
static inline void thimble_put_word(int folded, uint32_t *to, uint32_t x) {
    to[0] = folded ? thimble_first_folded(x) : thimble_first_plain(x);
    to[1] = folded ? thimble_second_folded(x) : thimble_second_plain(x);
}

/* The same for one of four pixels whose words lie side by side. */
static inline void thimble_put_grouped_word(int folded, uint32_t *to, uint32_t x) {
    to[0] = folded ? thimble_first_folded(x) : thimble_first_plain(x);
    to[4] = folded ? thimble_second_folded(x) : thimble_second_plain(x);
}

/* Sixteen bytes of a pixel as eight words, for folded weights: 25 cycles. */
static inline void thimble_put_four_words(const int8_t *from, uint32_t *to) {
#if defined(__ARM_FEATURE_DSP)
    uint32_t a, b, c, d, odd;
    __asm__ volatile("ldr.w %[a], [%[from]]\n"
                     "ldr.w %[b], [%[from], #4]\n"
                     "ldr.w %[c], [%[from], #8]\n"
                     "ldr.w %[d], [%[from], #12]\n"
                     "sxtb16 %[odd], %[a], ror #8\n"
                     "rev16.w %[a], %[a]\n"
                     "eor.w %[a], %[a], #0x007F007F\n"
                     "str.w %[odd], [%[to]]\n"
                     "str.w %[a], [%[to], #4]\n"
                     "sxtb16 %[odd], %[b], ror #8\n"
                     "rev16.w %[b], %[b]\n"
                     "eor.w %[b], %[b], #0x007F007F\n"
                     "str.w %[odd], [%[to], #8]\n"
                     "str.w %[b], [%[to], #12]\n"
                     "sxtb16 %[odd], %[c], ror #8\n"
                     "rev16.w %[c], %[c]\n"
                     "eor.w %[c], %[c], #0x007F007F\n"
                     "str.w %[odd], [%[to], #16]\n"
                     "str.w %[c], [%[to], #20]\n"
                     "sxtb16 %[odd], %[d], ror #8\n"
                     "rev16.w %[d], %[d]\n"
                     "eor.w %[d], %[d], #0x007F007F\n"
                     "str.w %[odd], [%[to], #24]\n"
                     "str.w %[d], [%[to], #28]"
                     : [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [d] "=&r"(d), [odd] "=&r"(odd)
                     : [from] "r"(from), [to] "r"(to)
                     : "memory");
#else
    for (int i = 0; i < 4; i++) {
        thimble_put_word(1, to + 2 * i, thimble_load_4(from + 4 * i));
    }
#endif
}

/* a . b of two lanes, modulo 2^32. */
static inline uint32_t thimble_dot(uint32_t a, uint32_t b) {
    return (uint32_t)(thimble_low(a) * thimble_low(b)) + (uint32_t)(thimble_high(a) * thimble_high(b));
}

/* The portable twin of one step for one pixel and channel: four products, modulo 2^32. */
static inline uint32_t thimble_sums_step(thimble_sums_form form, uint32_t first, uint32_t second, uint32_t weights) {
    if (form.folded) {
        return thimble_dot(first, weights) + thimble_dot(second, thimble_even_bytes(weights));
    }
    return thimble_dot(first, thimble_even_bytes(weights)) + thimble_dot(second, thimble_odd_bytes(weights));
}

/* The portable twin of requantization: a finished sum to the output's byte, by the channel's constants. */
static inline int8_t thimble_sums_output(thimble_sums_form form, thimble_tail tail, uint32_t sum,
                                         const int32_t *constants) {
    if (form.shift != 0) {
        return thimble_tail_byte(tail, thimble_high_product((int32_t)sum, constants[0]) >> form.shift);
    }
    const int32_t scaled = (int32_t)(form.folded ? sum : sum << form.scale_bits);
    const int32_t tie = form.rounds_ties && scaled < 0 ? 1 << (form.scale_bits - 1) : 0;
    const int32_t value = thimble_high_product(scaled, constants[0]) + constants[1] - tie;
    return thimble_tail_byte(tail, value >> constants[2]);
}

#endif
