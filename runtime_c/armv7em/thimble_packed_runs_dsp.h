/* SPDX-License-Identifier: 0BSD */
/* Elements of 2 or 4 bits to int8 and back. */
#ifndef THIMBLE_PACKED_RUNS_DSP_H
#define THIMBLE_PACKED_RUNS_DSP_H

#include <stdint.h>

/* Pixels of `channels` elements below 8 bits, each from a byte on, to int8 without gaps. */
void thimble_unpack_pixels_dsp(const uint8_t *from, int8_t *to, int32_t pixels, int32_t channels, int bits);

/* The same back. */
void thimble_pack_pixels_dsp(const int8_t *from, uint8_t *to, int32_t pixels, int32_t channels, int bits);

#endif
