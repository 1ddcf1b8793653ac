/* SPDX-License-Identifier: 0BSD */
#include "thimble_packed_runs_dsp.h"

#include "thimble_dsp.h"
#include "thimble_packed.h"

/* Fields of 4 bits of two bytes, which lie in the low bytes of lanes and were taken exclusive or 8, as signed bytes. */
static inline uint32_t nibbles(uint32_t lanes) {
    return thimble_subtract_bytes((lanes | lanes << 4) & 0x0F0F0F0Fu, 0x08080808u);
}

static inline void unpack_8_nibbles(const uint8_t *from, int8_t *to) {
    const uint32_t fields = thimble_load_4((const int8_t *)from) ^ 0x88888888u;
    const uint32_t even = nibbles(thimble_even_unsigned(fields));
    const uint32_t odd = nibbles(thimble_odd_unsigned(fields));
    thimble_store_4(to, thimble_low_lanes(even, odd));
    thimble_store_4(to + 4, thimble_high_lanes(even, odd));
}

static inline void unpack_4_pairs(const uint8_t *from, int8_t *to) {
    uint32_t fields = *from ^ 0xAAu;
    fields = (fields | fields << 12) & 0x000F000Fu;
    fields = (fields | fields << 6) & 0x03030303u;
    thimble_store_4(to, thimble_subtract_bytes(fields, 0x02020202u));
}

static inline void pack_8_nibbles(const int8_t *from, uint8_t *to) {
    const uint32_t first = thimble_load_4(from);
    const uint32_t second = thimble_load_4(from + 4);
    uint32_t even = thimble_low_lanes(first, second) & 0x0F0F0F0Fu;
    uint32_t odd = thimble_high_lanes(first, second) & 0x0F0F0F0Fu;
    even = thimble_even_unsigned(even | even >> 4);
    odd = thimble_even_unsigned(odd | odd >> 4);
    thimble_store_4((int8_t *)to, even | odd << 8);
}

static inline void pack_4_pairs(const int8_t *from, uint8_t *to) {
    uint32_t fields = thimble_load_4(from) & 0x03030303u;
    fields = (fields | fields >> 6) & 0x000F000Fu;
    *to = (uint8_t)(fields | fields >> 12);
}

static inline void unpack_run(const uint8_t *from, int8_t *to, int32_t count, int bits) {
    const int32_t at_once = bits == 4 ? 8 : 4;
    for (; count >= at_once; count -= at_once) {
        if (bits == 4) {
            unpack_8_nibbles(from, to);
        } else {
            unpack_4_pairs(from, to);
        }
        from += at_once * bits / 8;
        to += at_once;
    }
    for (int32_t i = 0; i < count; i++) {
        to[i] = (int8_t)thimble_packed_get(from, i, bits);
    }
}

static inline void pack_run(const int8_t *from, uint8_t *to, int32_t count, int bits) {
    const int32_t at_once = bits == 4 ? 8 : 4;
    for (; count >= at_once; count -= at_once) {
        if (bits == 4) {
            pack_8_nibbles(from, to);
        } else {
            pack_4_pairs(from, to);
        }
        from += at_once;
        to += at_once * bits / 8;
    }
    thimble_packed_writer rest = {to, 0, 0};
    for (int32_t i = 0; i < count; i++) {
        thimble_packed_put(&rest, from[i], bits);
    }
    thimble_packed_end(&rest);
}

void thimble_unpack_pixels_dsp(const uint8_t *from, int8_t *to, int32_t pixels, int32_t channels, int bits) {
    if (channels * bits % 8 == 0) { /* no gaps between pixels */
        channels *= pixels;
        pixels = 1;
    }
    for (; pixels > 0; pixels--) {
        if (bits == 4) {
            unpack_run(from, to, channels, 4);
        } else {
            unpack_run(from, to, channels, 2);
        }
        from += thimble_packed_bytes(channels, bits);
        to += channels;
    }
}

void thimble_pack_pixels_dsp(const int8_t *from, uint8_t *to, int32_t pixels, int32_t channels, int bits) {
    if (channels * bits % 8 == 0) {
        channels *= pixels;
        pixels = 1;
    }
    for (; pixels > 0; pixels--) {
        if (bits == 4) {
            pack_run(from, to, channels, 4);
        } else {
            pack_run(from, to, channels, 2);
        }
        from += channels;
        to += thimble_packed_bytes(channels, bits);
    }
}
