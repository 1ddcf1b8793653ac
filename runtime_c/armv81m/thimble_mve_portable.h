/* SPDX-License-Identifier: 0BSD */
/* Portable twins of the MVE intrinsics that kernels use, by their names in arm_mve.h (Arm IHI 0073). Lanes lie in
 * memory from the lowest on, as on the little-endian machines that this is for. */
#ifndef THIMBLE_MVE_PORTABLE_H
#define THIMBLE_MVE_PORTABLE_H

#include <stdint.h>
#include <string.h>

typedef struct {
    int8_t lane[16];
} int8x16_t;

typedef struct {
    int16_t lane[8];
} int16x8_t;

typedef struct {
    int32_t lane[4];
} int32x4_t;

typedef struct {
    uint32_t lane[4];
} uint32x4_t;

/* One bit for each byte. */
typedef uint16_t mve_pred16_t;

/* A function of one or two vectors, lane by lane; `x` and `y` are the lanes. */
#define THIMBLE_LANES(name, type, lanes, expression)                                                                   \
    static inline type name(type a, type b) {                                                                          \
        type result;                                                                                                   \
        for (int i = 0; i < (lanes); i++) {                                                                            \
            const int64_t x = a.lane[i];                                                                               \
            const int64_t y = b.lane[i];                                                                               \
            result.lane[i] = (expression);                                                                             \
        }                                                                                                              \
        return result;                                                                                                 \
    }

static inline int64_t thimble_saturated(int64_t x, int bits) {
    const int64_t high = ((int64_t)1 << (bits - 1)) - 1;
    return x > high ? high : x < -high - 1 ? -high - 1 : x;
}

/* x * 2^shift modulo 2^32, rounded with halves up where shift is negative. */
static inline int32_t thimble_shifted(int64_t x, int64_t shift, int rounds) {
    const int places = (int8_t)(uint8_t)(shift & 0xFF);
    if (places <= -32) {
        return rounds || x >= 0 ? 0 : -1;
    }
    if (places >= 0) {
        return places >= 32 ? 0 : (int32_t)(uint32_t)((uint64_t)x << places);
    }
    return (int32_t)((x + (rounds ? (int64_t)1 << (-places - 1) : 0)) >> -places);
}

THIMBLE_LANES(vaddq_s16, int16x8_t, 8, (int16_t)(uint16_t)((uint64_t)(x + y) & 0xFFFFu))
THIMBLE_LANES(vaddq_s32, int32x4_t, 4, (int32_t)(uint32_t)((uint64_t)x + (uint64_t)y))
THIMBLE_LANES(vandq_s32, int32x4_t, 4, (int32_t)((x) & (y)))
THIMBLE_LANES(vmaxq_s8, int8x16_t, 16, (int8_t)(x > y ? x : y))
THIMBLE_LANES(vminq_s8, int8x16_t, 16, (int8_t)(x < y ? x : y))
THIMBLE_LANES(vmaxq_s16, int16x8_t, 8, (int16_t)(x > y ? x : y))
THIMBLE_LANES(vmaxq_s32, int32x4_t, 4, (int32_t)(x > y ? x : y))
THIMBLE_LANES(vminq_s16, int16x8_t, 8, (int16_t)(x < y ? x : y))
THIMBLE_LANES(vminq_s32, int32x4_t, 4, (int32_t)(x < y ? x : y))
THIMBLE_LANES(vqaddq_s32, int32x4_t, 4, (int32_t)thimble_saturated(x + y, 32))
THIMBLE_LANES(vqrdmulhq_s32, int32x4_t, 4, (int32_t)thimble_saturated((x * y + ((int64_t)1 << 30)) >> 31, 32))
THIMBLE_LANES(vrshlq_s32, int32x4_t, 4, thimble_shifted(x, y, 1))
THIMBLE_LANES(vshlq_s32, int32x4_t, 4, thimble_shifted(x, y, 0))

/* The same value in all lanes. */
static inline int8x16_t vdupq_n_s8(int8_t value) {
    int8x16_t result;
    memset(result.lane, value, sizeof result.lane);
    return result;
}

static inline int16x8_t vdupq_n_s16(int16_t value) {
    int16x8_t result;
    for (int i = 0; i < 8; i++) {
        result.lane[i] = value;
    }
    return result;
}

static inline int32x4_t vdupq_n_s32(int32_t value) {
    const int32x4_t result = {{value, value, value, value}};
    return result;
}

static inline int16x8_t vqaddq_n_s16(int16x8_t a, int16_t value) {
    for (int i = 0; i < 8; i++) {
        a.lane[i] = (int16_t)thimble_saturated(a.lane[i] + value, 16);
    }
    return a;
}

static inline int32x4_t vaddq_n_s32(int32x4_t a, int32_t value) {
    return vaddq_s32(a, vdupq_n_s32(value));
}

/* Rounded or rescaled by one number for all lanes. */
static inline int32x4_t vqrdmulhq_n_s32(int32x4_t a, int32_t factor) {
    return vqrdmulhq_s32(a, vdupq_n_s32(factor));
}

static inline int32x4_t vrshlq_n_s32(int32x4_t a, int32_t places) {
    return vrshlq_s32(a, vdupq_n_s32(places));
}

static inline int32x4_t vshlq_r_s32(int32x4_t a, int32_t places) {
    return vshlq_s32(a, vdupq_n_s32(places));
}

/* first, first + step, ... */
static inline uint32x4_t vidupq_n_u32(uint32_t first, uint32_t step) {
    const uint32x4_t result = {{first, first + step, first + 2 * step, first + 3 * step}};
    return result;
}

static inline uint32x4_t vmulq_n_u32(uint32x4_t a, uint32_t factor) {
    for (int i = 0; i < 4; i++) {
        a.lane[i] *= factor;
    }
    return a;
}

/* All 128 bits to the left by up to 32, with those of *carry from below; what falls out is the new carry. */
static inline int8x16_t vshlcq_s8(int8x16_t a, uint32_t *carry, int places) {
    uint32_t words[4];
    memcpy(words, &a, sizeof words);
    for (int i = 0; i < 4; i++) {
        const uint64_t both = (uint64_t)words[i] << places | (*carry & (((uint64_t)1 << places) - 1));
        words[i] = (uint32_t)both;
        *carry = (uint32_t)(both >> 32);
    }
    memcpy(&a, words, sizeof words);
    return a;
}

static inline int32x4_t vshrq_n_s32(int32x4_t a, int places) {
    return vshlq_s32(a, vdupq_n_s32(-places));
}

/* Bits as lanes of another size. */
static inline int16x8_t vreinterpretq_s16_s32(int32x4_t a) {
    int16x8_t result;
    memcpy(&result, &a, sizeof result);
    return result;
}

static inline int32x4_t vreinterpretq_s32_s16(int16x8_t a) {
    int32x4_t result;
    memcpy(&result, &a, sizeof result);
    return result;
}

static inline int16x8_t vreinterpretq_s16_s8(int8x16_t a) {
    int16x8_t result;
    memcpy(&result, &a, sizeof result);
    return result;
}

static inline int8x16_t vreinterpretq_s8_s16(int16x8_t a) {
    int8x16_t result;
    memcpy(&result, &a, sizeof result);
    return result;
}

/* `a` with even lanes, or odd ones, from the saturated lanes of `b`. */
static inline int16x8_t vqmovnbq_s32(int16x8_t a, int32x4_t b) {
    for (int i = 0; i < 4; i++) {
        a.lane[2 * i] = (int16_t)thimble_saturated(b.lane[i], 16);
    }
    return a;
}

static inline int16x8_t vqmovntq_s32(int16x8_t a, int32x4_t b) {
    for (int i = 0; i < 4; i++) {
        a.lane[2 * i + 1] = (int16_t)thimble_saturated(b.lane[i], 16);
    }
    return a;
}

static inline int8x16_t vqmovnbq_s16(int8x16_t a, int16x8_t b) {
    for (int i = 0; i < 8; i++) {
        a.lane[2 * i] = (int8_t)thimble_saturated(b.lane[i], 8);
    }
    return a;
}

/* Products of all lanes added up, modulo 2^32. */
static inline int32_t vmladavaq_s8(int32_t sum, int8x16_t a, int8x16_t b) {
    uint32_t total = (uint32_t)sum;
    for (int i = 0; i < 16; i++) {
        total += (uint32_t)(a.lane[i] * b.lane[i]);
    }
    return (int32_t)total;
}

/* Bits for the first `bytes` bytes, and for the first `lanes` lanes of two or four bytes. */
static inline mve_pred16_t vctp8q(uint32_t bytes) {
    return (mve_pred16_t)(bytes >= 16 ? 0xFFFFu : (1u << bytes) - 1);
}

static inline mve_pred16_t vctp16q(uint32_t lanes) {
    return vctp8q(lanes >= 8 ? 16 : 2 * lanes);
}

static inline mve_pred16_t vctp32q(uint32_t lanes) {
    return vctp8q(lanes >= 4 ? 16 : 4 * lanes);
}

/* Loads and stores; lanes whose bit in the predicate is 0 are not touched in memory, and are 0 where they are loaded.
 */
static inline int8x16_t vldrbq_s8(const int8_t *from) {
    int8x16_t result;
    memcpy(&result, from, sizeof result);
    return result;
}

static inline int8x16_t vldrbq_z_s8(const int8_t *from, mve_pred16_t active) {
    int8x16_t result = vdupq_n_s8(0);
    for (int i = 0; i < 16; i++) {
        if (active >> i & 1) {
            result.lane[i] = from[i];
        }
    }
    return result;
}

static inline int16x8_t vldrbq_z_s16(const int8_t *from, mve_pred16_t active) {
    int16x8_t result = vdupq_n_s16(0);
    for (int i = 0; i < 8; i++) {
        if (active >> (2 * i) & 1) {
            result.lane[i] = from[i];
        }
    }
    return result;
}

static inline int16x8_t vldrhq_z_s16(const int16_t *from, mve_pred16_t active) {
    int16x8_t result = vdupq_n_s16(0);
    for (int i = 0; i < 8; i++) {
        if (active >> (2 * i) & 1) {
            result.lane[i] = from[i];
        }
    }
    return result;
}

static inline void vstrbq_p_s8(int8_t *to, int8x16_t a, mve_pred16_t active) {
    for (int i = 0; i < 16; i++) {
        if (active >> i & 1) {
            to[i] = a.lane[i];
        }
    }
}

static inline void vstrhq_p_s16(int16_t *to, int16x8_t a, mve_pred16_t active) {
    for (int i = 0; i < 8; i++) {
        if (active >> (2 * i) & 1) {
            to[i] = a.lane[i];
        }
    }
}

static inline int32x4_t vldrbq_s32(const int8_t *from) {
    const int32x4_t result = {{from[0], from[1], from[2], from[3]}};
    return result;
}

static inline int32x4_t vldrwq_s32(const int32_t *from) {
    int32x4_t result;
    memcpy(&result, from, sizeof result);
    return result;
}

static inline uint32x4_t vldrwq_u32(const uint32_t *from) {
    uint32x4_t result;
    memcpy(&result, from, sizeof result);
    return result;
}

/* The low byte of each lane. */
static inline void vstrbq_p_s32(int8_t *to, int32x4_t a, mve_pred16_t active) {
    for (int i = 0; i < 4; i++) {
        if (active >> (4 * i) & 1) {
            to[i] = (int8_t)(uint8_t)((uint32_t)a.lane[i] & 0xFFu);
        }
    }
}

static inline void vstrbq_scatter_offset_p_s32(int8_t *to, uint32x4_t offsets, int32x4_t a, mve_pred16_t active) {
    for (int i = 0; i < 4; i++) {
        if (active >> (4 * i) & 1) {
            to[offsets.lane[i]] = (int8_t)(uint8_t)((uint32_t)a.lane[i] & 0xFFu);
        }
    }
}

static inline void vstrbq_scatter_offset_s32(int8_t *to, uint32x4_t offsets, int32x4_t a) {
    vstrbq_scatter_offset_p_s32(to, offsets, a, 0xFFFF);
}

/* Words at offsets in bytes. */
static inline void vstrwq_scatter_offset_s32(int32_t *to, uint32x4_t offsets, int32x4_t a) {
    for (int i = 0; i < 4; i++) {
        memcpy((char *)to + offsets.lane[i], &a.lane[i], sizeof a.lane[i]);
    }
}

static inline void vstrbq_s32(int8_t *to, int32x4_t a) {
    vstrbq_p_s32(to, a, 0xFFFF);
}

#endif
