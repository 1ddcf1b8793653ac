/* SPDX-License-Identifier: 0BSD */
/* Output pixels that are written late: each one waits in scratch, pixels (2, bytes), until the next one is made. */
#ifndef THIMBLE_LATE_H
#define THIMBLE_LATE_H

#include <stdint.h>
#include <string.h>

/* Where pixel x of a row is made. */
static inline int8_t *thimble_late_pixel(uint8_t *pixels, int32_t x, int32_t bytes) {
    return (int8_t *)(pixels + (x % 2) * bytes);
}

/* Writes the pixel in front of x, if there is one, to the row at `out`. */
static inline void thimble_late_write(int8_t *out, uint8_t *pixels, int32_t x, int32_t bytes) {
    if (x > 0) {
        memcpy(out + (x - 1) * bytes, thimble_late_pixel(pixels, x - 1, bytes), (size_t)bytes);
    }
}

#endif
