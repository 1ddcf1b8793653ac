/* SPDX-License-Identifier: 0BSD */
/* The vector instructions of Armv8.1-M (MVE, Helium) that kernels use, and the same in portable C for every other
 * machine: so that the host runs the very kernels under its sanitizers. */
#ifndef THIMBLE_MVE_H
#define THIMBLE_MVE_H

#include <stdint.h>

#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>
#else
#include "thimble_mve_portable.h"
#endif

/* `bytes` bytes, 0 or more, which must not overlap. */
static inline void thimble_copy_mve(int8_t *to, const int8_t *from, int32_t bytes) {
#if defined(__ARM_FEATURE_MVE)
    __asm__ volatile("wlstp.8 lr, %[bytes], 2f\n"
                     "1: vldrb.8 q0, [%[from]], #16\n\t"
                     "vstrb.8 q0, [%[to]], #16\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : [to] "+r"(to), [from] "+r"(from)
                     : [bytes] "r"(bytes)
                     : "lr", "q0", "cc", "memory");
#else
    for (int32_t i = 0; i < bytes; i++) {
        to[i] = from[i];
    }
#endif
}

/* `bytes` times, 0 or more, the byte of `value`. */
static inline void thimble_fill_mve(int8_t *to, int32_t value, int32_t bytes) {
#if defined(__ARM_FEATURE_MVE)
    const int8x16_t values = vdupq_n_s8((int8_t)value);
    __asm__ volatile("wlstp.8 lr, %[bytes], 2f\n"
                     "1: vstrb.8 %q[values], [%[to]], #16\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : [to] "+r"(to)
                     : [values] "w"(values), [bytes] "r"(bytes)
                     : "lr", "cc", "memory");
#else
    for (int32_t i = 0; i < bytes; i++) {
        to[i] = (int8_t)value;
    }
#endif
}

#endif
