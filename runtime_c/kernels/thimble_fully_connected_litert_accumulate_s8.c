/* SPDX-License-Identifier: 0BSD */
#include "thimble_fully_connected_litert_accumulate_s8.h"

#include "thimble_common.h"
#include "thimble_real_scale.h"

void thimble_fully_connected_litert_accumulate_s8(const thimble_fully_connected_litert_accumulate_s8_params *params,
                                                  const thimble_rows *input, const int8_t *weights, const int32_t *bias,
                                                  const float *weight_scales, int32_t *sums, int8_t *output,
                                                  int32_t first, int32_t end) {
    const thimble_fully_connected_litert_accumulate_s8_params *p = params;
    for (int32_t y = first; y < end; y++) {
        const int8_t *in = thimble_row(input, y);
        for (int32_t o = 0; o < p->output_channels; o++) {
            const int8_t *w = weights + (o * p->input_rows + y) * p->row_size;
            int32_t sum = y == 0 ? bias[o] : sums[o];
            for (int32_t i = 0; i < p->row_size; i++) {
                sum += (in[i] - p->input_zero_point) * (w[i] - p->weights_zero_point);
            }
            sums[o] = sum;
        }
    }
    if (end == p->input_rows) {
        for (int32_t o = 0; o < p->output_channels; o++) {
            const double scale = thimble_real_scale(p->input_scale, weight_scales[o], p->output_scale);
            const int32_t value = thimble_add(thimble_scale_once(sums[o], scale), p->output_zero_point);
            output[o] = (int8_t)thimble_clamp(value, p->output_min, p->output_max);
        }
    }
}
