/* SPDX-License-Identifier: 0BSD */
#include "thimble_fully_connected_mve.h"

#include "thimble_four_sums_mve.h"
#include "thimble_requantize_mve.h"

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
            const int32x4_t sums = thimble_four_sums_mve(input, steps, last, &weights);
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
