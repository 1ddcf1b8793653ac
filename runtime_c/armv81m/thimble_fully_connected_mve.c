/* SPDX-License-Identifier: 0BSD */
#include "thimble_fully_connected_mve.h"

#include "thimble_requantize_mve.h"

/* The sums of four channels over `steps` times 16 values and 16 more from `last`: a step makes 64 products with 9
 * instructions. `weights` is moved behind what was read. */
static inline int32x4_t add_up(const int8_t *x, int32_t steps, const int8_t *last, const int8_t **weights) {
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

void thimble_fully_connected_mve(const thimble_fully_connected_mve_params *params, const int8_t *input,
                                 const int32_t *packed, int8_t *output) {
    const thimble_fully_connected_mve_params *p = params;
    const thimble_form_mve form = {1, 1, 1}; /* all cases: few outputs for many products */
    const int32x4_t low = vdupq_n_s32(p->output_min);
    const int32x4_t high = vdupq_n_s32(p->output_max);
    const int32_t steps = (p->depth - 1) / 16;
    int8_t last[16] = {0}; /* the end of a row, filled up */
    for (int32_t row = 0; row < p->rows; row++) {
        const int8_t *weights = (const int8_t *)packed;
        thimble_copy_mve(last, input + 16 * steps, p->depth - 16 * steps);
        for (int32_t channel = 0; channel < p->channels; channel += 4) {
            const int32x4_t sums = add_up(input, steps, last, &weights);
            const int32_t *constants = (const int32_t *)(const void *)weights;
            const int32x4_t biased = vaddq_s32(sums, vldrwq_s32(constants));
            const int32x4_t scaled =
                thimble_scale_mve(form, biased, vldrwq_s32(constants + 4), vldrbq_s32(weights + 32));
            const int32x4_t values = vminq_s32(vmaxq_s32(vaddq_n_s32(scaled, p->output_zero_point), low), high);
            const mve_pred16_t active = vctp32q((uint32_t)(p->channels - channel));
            vstrbq_p_s32(output + channel, values, active);
            weights += 36;
        }
        input += p->depth;
        output += p->channels;
    }
}
