/* SPDX-License-Identifier: 0BSD */
/* What kernels that take one row at a time share: its sums with four lines of weights. */
#ifndef THIMBLE_FOUR_SUMS_MVE_H
#define THIMBLE_FOUR_SUMS_MVE_H

#include "thimble_mve.h"

/* The sums of four channels over `steps` times 16 values and 16 more from `last`: a step makes 64 products with 9
 * instructions. `weights` is moved behind what was read. */
static inline int32x4_t thimble_four_sums_mve(const int8_t *x, int32_t steps, const int8_t *last,
                                              const int8_t **weights) {
#if defined(__ARM_FEATURE_MVE)
    register int32x4_t sums __asm__("q0");
    __asm__ volatile("vldrb.8 q0, [%[last]]\n\t"
                     "mov r0, #0\n\t"
                     "mov r2, #0\n\t"
                     "mov r4, #0\n\t"
                     "mov r6, #0\n\t"
                     "wls lr, %[steps], 2f\n"
                     "1: vldrb.8 q1, [%[x]], #16\n\t"
                     "vldrb.8 q2, [%[weights]], #16\n\t"
                     "vmladava.s8 r0, q1, q2\n\t"
                     "vldrb.8 q3, [%[weights]], #16\n\t"
                     "vmladava.s8 r2, q1, q3\n\t"
                     "vldrb.8 q2, [%[weights]], #16\n\t"
                     "vmladava.s8 r4, q1, q2\n\t"
                     "vldrb.8 q3, [%[weights]], #16\n\t"
                     "vmladava.s8 r6, q1, q3\n\t"
                     "le lr, 1b\n"
                     "2: vldrb.8 q2, [%[weights]], #16\n\t"
                     "vmladava.s8 r0, q0, q2\n\t"
                     "vldrb.8 q3, [%[weights]], #16\n\t"
                     "vmladava.s8 r2, q0, q3\n\t"
                     "vldrb.8 q2, [%[weights]], #16\n\t"
                     "vmladava.s8 r4, q0, q2\n\t"
                     "vldrb.8 q3, [%[weights]], #16\n\t"
                     "vmladava.s8 r6, q0, q3\n\t"
                     "vmov q0[2], q0[0], r0, r4\n\t"
                     "vmov q0[3], q0[1], r2, r6"
                     : [x] "+r"(x), [weights] "+r"(*weights), "=&w"(sums)
                     : [steps] "r"(steps), [last] "r"(last)
                     : "r0", "r2", "r4", "r6", "lr", "q1", "q2", "q3", "cc", "memory");
    return sums;
#else
    int32x4_t sums = vdupq_n_s32(0);
    for (int32_t step = 0; step <= steps; step++) {
        const int8x16_t values = vldrbq_s8(step < steps ? x + 16 * step : last);
        for (int32_t channel = 0; channel < 4; channel++) {
            sums.lane[channel] = vmladavaq_s8(sums.lane[channel], values, vldrbq_s8(*weights));
            *weights += 16;
        }
    }
    return sums;
#endif
}

#endif
