/* SPDX-License-Identifier: 0BSD */
#include "thimble_two_slopes_s16.h"

#include "thimble_common.h"

void thimble_two_slopes_s16(const thimble_two_slopes_s16_params *params, const int16_t *input, int16_t *output) {
    const thimble_two_slopes_s16_params *p = params;
    for (int32_t i = 0; i < p->size; i++) {
        const int32_t x = input[i] - p->input_zero_point;
        const int32_t scaled =
            x >= 0 ? thimble_requantize(x, p->positive_multiplier, p->positive_shift)
                   : thimble_requantize(x * p->negative_sign, p->negative_multiplier, p->negative_shift);
        output[i] = (int16_t)thimble_clamp(thimble_add(scaled, p->output_zero_point), p->output_min, p->output_max);
    }
}
