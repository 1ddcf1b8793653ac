/* Every intrinsic of thimble_mve_portable.h on the bytes of inputs.bin, 64 a round; each writes 64 bytes of results. */
#include <stdint.h>
#include <string.h>

#include "thimble_mve.h"

#if defined(__arm__)
#include "semihosting.h"
static int32_t in, out;
static int read_bytes(void *to, uint32_t bytes) {
    return semihosting_read(in, to, bytes) == (int32_t)bytes;
}
static void write_bytes(const void *from, uint32_t bytes) {
    (void)semihosting_write(out, from, bytes);
}
#else
#include <stdio.h>
static FILE *in, *out;
static int read_bytes(void *to, uint32_t bytes) {
    return fread(to, 1, bytes, in) == bytes;
}
static void write_bytes(const void *from, uint32_t bytes) {
    (void)fwrite(from, 1, bytes, out);
}
#endif

static int8_t input[64];
static int8_t result[64];

static void put(const void *from, uint32_t bytes) {
    memcpy(result, from, bytes);
    write_bytes(result, sizeof result);
    memset(result, 0, sizeof result);
}

#define PUT(type, expression)                                                                                          \
    do {                                                                                                               \
        const type made = (expression);                                                                                \
        put(&made, sizeof made);                                                                                       \
    } while (0)

static void bytes(int8x16_t a, int8x16_t b, int16x8_t c) {
    PUT(int32_t, vmladavaq_s8(-5, a, b));
    PUT(int8x16_t, vmaxq_s8(a, b));
    PUT(int8x16_t, vminq_s8(a, b));
    PUT(int8x16_t, vqmovnbq_s16(a, c));
    PUT(int8x16_t, vdupq_n_s8(input[3]));
    uint32_t carry = (uint32_t)input[5];
    PUT(int8x16_t, vshlcq_s8(a, &carry, 8));
    PUT(uint32_t, carry);
    carry = 1;
    PUT(int8x16_t, vshlcq_s8(b, &carry, 32));
}

static void halfwords(int16x8_t a, int16x8_t b, int32x4_t c) {
    PUT(int16x8_t, vaddq_s16(a, b));
    PUT(int16x8_t, vmaxq_s16(a, b));
    PUT(int16x8_t, vminq_s16(a, b));
    PUT(int16x8_t, vqaddq_n_s16(a, (int16_t)(256 * input[0])));
    PUT(int16x8_t, vqmovnbq_s32(a, c));
    PUT(int16x8_t, vqmovntq_s32(a, c));
    PUT(int16x8_t, vdupq_n_s16(input[7]));
}

static void words(int32x4_t a, int32x4_t b, int32_t number) {
    PUT(int32x4_t, vaddq_s32(a, b));
    PUT(int32x4_t, vandq_s32(a, b));
    PUT(int32x4_t, vmaxq_s32(a, b));
    PUT(int32x4_t, vminq_s32(a, b));
    PUT(int32x4_t, vqaddq_s32(a, b));
    PUT(int32x4_t, vqrdmulhq_s32(a, b));
    PUT(int32x4_t, vrshlq_s32(a, b));
    PUT(int32x4_t, vshlq_s32(a, b));
    PUT(int32x4_t, vaddq_n_s32(a, number));
    PUT(int32x4_t, vqrdmulhq_n_s32(a, number));
    PUT(int32x4_t, vrshlq_n_s32(a, number));
    PUT(int32x4_t, vshlq_r_s32(a, number));
    PUT(int32x4_t, vshrq_n_s32(a, 31));
    PUT(int32x4_t, vshrq_n_s32(a, 16));
    PUT(int32x4_t, vdupq_n_s32(number));
    PUT(uint32x4_t, vmulq_n_u32(vidupq_n_u32(3, 2), (uint32_t)number));
}

static void memory(int32x4_t a) {
    const mve_pred16_t three = vctp32q(3);
    const mve_pred16_t five = vctp16q(5);
    const mve_pred16_t eleven = vctp8q(11);
    int16_t halves[32];
    memcpy(halves, input, sizeof halves);
    PUT(int8x16_t, vldrbq_z_s8(input + 3, eleven));
    PUT(int16x8_t, vldrbq_z_s16(input + 7, five));
    PUT(int16x8_t, vldrhq_z_s16(halves + 9, five));
    vstrhq_p_s16(halves + 1, vldrbq_z_s16(input + 11, vctp16q(8)), five);
    put(halves, sizeof halves);
    memcpy(result, input, sizeof result);
    vstrbq_p_s8(result + 1, vldrbq_s8(input + 40), eleven);
    PUT(int8x16_t, vldrbq_s8(result));
    PUT(int32x4_t, vldrbq_s32(input + 5));
    memcpy(result, input, sizeof result);
    vstrbq_s32(result + 1, a);
    PUT(int8x16_t, vldrbq_s8(result));
    vstrbq_p_s32(result + 2, a, three);
    PUT(int8x16_t, vldrbq_s8(result));
    vstrbq_scatter_offset_p_s32(result, vmulq_n_u32(vidupq_n_u32(0, 1), 5), a, three);
    PUT(int8x16_t, vldrbq_s8(result));
    int32_t places[16] = {0};
    vstrwq_scatter_offset_s32(places, vmulq_n_u32(vidupq_n_u32(0, 1), 12), a);
    put(places, sizeof places);
    int8_t copied[64] = {0};
    thimble_copy_mve(copied, input, 37);
    thimble_fill_mve(copied + 40, input[1], 19);
    thimble_copy_mve(copied, input, 0);
    thimble_fill_mve(copied, 1, 0);
    put(copied, sizeof copied);
}

int main(void) {
#if defined(__arm__)
    in = semihosting_open("inputs.bin", SEMIHOSTING_READ);
    out = semihosting_open("outputs.bin", SEMIHOSTING_WRITE);
#else
    in = fopen("inputs.bin", "rb");
    out = fopen("outputs.bin", "wb");
#endif
    for (int round = 0; round < ROUNDS; round++) {
        int32_t aligned[16];
        if (!read_bytes(input, sizeof input)) {
            return 2;
        }
        memcpy(aligned, input, sizeof aligned);
        const int32x4_t a = vldrwq_s32(aligned);
        const int32x4_t b = vldrwq_s32(aligned + 4);
        bytes(vldrbq_s8(input), vldrbq_s8(input + 16), vreinterpretq_s16_s32(a));
        halfwords(vreinterpretq_s16_s32(a), vreinterpretq_s16_s8(vldrbq_s8(input + 16)), b);
        words(a, b, aligned[9]);
        memory(vreinterpretq_s32_s16(vreinterpretq_s16_s32(a)));
        PUT(int8x16_t, vreinterpretq_s8_s16(vreinterpretq_s16_s32(b)));
    }
#if defined(__arm__)
    return semihosting_close(out) == 0 ? 0 : 1;
#else
    return fclose(out);
#endif
}
