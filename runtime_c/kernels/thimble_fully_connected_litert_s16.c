/* SPDX-License-Identifier: 0BSD */
#include "thimble_fully_connected_litert_s16.h"

#include "thimble_common.h"
#include "thimble_real_scale.h"

void thimble_fully_connected_litert_s16(const thimble_fully_connected_litert_s16_params *params, const int16_t *input,
                                        const int8_t *weights, const int64_t *bias, const float *weight_scales,
                                        int16_t *output) {
    const thimble_fully_connected_litert_s16_params *p = params;
    for (int32_t row = 0; row < p->rows; row++) {
        for (int32_t o = 0; o < p->output_channels; o++) {
            const int8_t *w = weights + o * p->depth;
            int64_t sum = bias[o];
            for (int32_t d = 0; d < p->depth; d++) {
                sum += input[d] * (w[d] - p->weights_zero_point);
            }
            const double scale = thimble_real_scale(p->input_scale, weight_scales[o], p->output_scale);
            const int32_t value = thimble_scale_once(p->wide_sums != 0 ? sum : (int32_t)sum, scale);
            *output++ = (int16_t)thimble_clamp(value, p->output_min, p->output_max);
        }
        input += p->depth;
    }
}
