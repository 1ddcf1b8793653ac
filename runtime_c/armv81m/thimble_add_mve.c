/* SPDX-License-Identifier: 0BSD */
#include "thimble_add_mve.h"

#include "thimble_common.h"
#include "thimble_mve.h"

void thimble_add_mve(const thimble_add_mve_params *params, const int8_t *input1, const int8_t *input2, int8_t *output) {
    const thimble_add_mve_params *p = params;
#if defined(__ARM_FEATURE_MVE)
    const int32x4_t a = vdupq_n_s32(p->a);
    const int32x4_t low = vdupq_n_s32(p->output_min);
    const int32x4_t high = vdupq_n_s32(p->output_max);
    /* Nine instructions for four elements; the last turn is predicated. */
    __asm__ volatile("wlstp.32 lr, %[count], 2f\n"
                     "1: vldrb.s32 q0, [%[x]], #4\n\t"
                     "vldrb.s32 q1, [%[y]], #4\n\t"
                     "vmlas.s32 q0, %q[a], %[c]\n\t" /* q0 * a + c */
                     "vmla.s32 q0, q1, %[b]\n\t"
                     "vshl.s32 q0, %[places]\n\t"
                     "vmax.s32 q0, q0, %q[low]\n\t"
                     "vmin.s32 q0, q0, %q[high]\n\t"
                     "vstrb.32 q0, [%[output]], #4\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : [x] "+r"(input1), [y] "+r"(input2), [output] "+r"(output)
                     : [count] "r"(p->count), [a] "w"(a), [b] "r"(p->b), [c] "r"(p->c), [places] "r"(-p->shift),
                       [low] "w"(low), [high] "w"(high)
                     : "lr", "q0", "q1", "cc", "memory");
#else
    for (int32_t i = 0; i < p->count; i++) {
        const int32_t sum = p->a * input1[i] + p->b * input2[i] + p->c;
        output[i] = (int8_t)thimble_clamp(sum >> p->shift, p->output_min, p->output_max);
    }
#endif
}
