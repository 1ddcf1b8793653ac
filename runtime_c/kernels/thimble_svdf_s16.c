/* SPDX-License-Identifier: 0BSD */
#include "thimble_svdf_s16.h"

/* Shifts one filter's values, appends the newest one, and returns their product with the weights modulo 2^32.
 * The newest is clamped first, so that adding the zero point may wrap around, as it does in TFLite Micro. */
static uint32_t advance(int16_t *state, int32_t newest, int32_t zero_point, const int16_t *weights, int32_t memory) {
    const int16_t last = (int16_t)(thimble_clamp(newest, INT16_MIN, INT16_MAX) + zero_point);
    uint32_t sum = 0;
    for (int32_t i = 0; i < memory; i++) {
        state[i] = i + 1 < memory ? state[i + 1] : last;
        sum += (uint32_t)((state[i] - zero_point) * weights[i]);
    }
    return sum;
}

void thimble_svdf_s16(const thimble_svdf_s16_params *params, const int8_t *input, const int8_t *feature_weights,
                      const int16_t *time_weights, const int32_t *bias, int16_t *state, int8_t *output) {
    const thimble_svdf_s16_params *p = params;
    for (int32_t batch = 0; batch < p->batches; batch++) {
        for (int32_t unit = 0; unit < p->units; unit++) {
            uint32_t sum = (uint32_t)bias[unit];
            for (int32_t filter = unit * p->rank; filter < (unit + 1) * p->rank; filter++) {
                const int32_t newest = thimble_svdf_feature(p, input, feature_weights + filter * p->input_size);
                sum += advance(state, newest, p->state_zero_point, time_weights + filter * p->memory, p->memory);
                state += p->memory;
            }
            *output++ = thimble_svdf_output(p, (int32_t)sum);
        }
        input += p->input_size;
    }
}
