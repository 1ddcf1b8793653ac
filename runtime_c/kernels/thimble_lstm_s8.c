/* SPDX-License-Identifier: 0BSD */
#include "thimble_lstm_s8.h"

/* sum + the product of a vector, whose zero point is taken off, with one row of weights; modulo 2^32. */
static int32_t dot(uint32_t sum, const int8_t *vector, int32_t zero_point, const int8_t *weights, int32_t size) {
    for (int32_t i = 0; i < size; i++) {
        sum += (uint32_t)((vector[i] - zero_point) * weights[i]);
    }
    return (int32_t)sum;
}

void thimble_lstm_s8(const thimble_lstm_s8_params *params, const int8_t *input, const int8_t *input_weights,
                     const int8_t *forget_weights, const int8_t *cell_weights, const int8_t *output_weights,
                     const int8_t *input_recurrent, const int8_t *forget_recurrent, const int8_t *cell_recurrent,
                     const int8_t *output_recurrent, const int32_t *input_bias, const int32_t *forget_bias,
                     const int32_t *cell_bias, const int32_t *output_bias, int8_t *hidden, int16_t *cell,
                     const int16_t *sigmoid_table, int8_t *output) {
    const thimble_lstm_s8_params *p = params;
    const int8_t *const weights[] = {input_weights, forget_weights, cell_weights, output_weights};
    const int8_t *const recurrent[] = {input_recurrent, forget_recurrent, cell_recurrent, output_recurrent};
    const int32_t *const biases[] = {input_bias, forget_bias, cell_bias, output_bias};
    for (int32_t batch = 0; batch < p->batches; batch++) {
        for (int32_t time = 0; time < p->time_steps; time++) {
            const int32_t row = thimble_lstm_row(p, batch, time);
            const int8_t *x = input + row * p->input_size;
            int8_t *y = output + row * p->cells;
            for (int32_t n = 0; n < p->cells; n++) {
                int32_t gates[THIMBLE_LSTM_GATES];
                for (int g = 0; g < THIMBLE_LSTM_GATES; g++) {
                    const int32_t x_sum = dot((uint32_t)biases[g][n], x, p->input_zero_point,
                                              weights[g] + n * p->input_size, p->input_size);
                    const int32_t h_sum = dot(0, hidden, p->hidden_zero_point, recurrent[g] + n * p->cells, p->cells);
                    const int32_t x_part = thimble_requantize(x_sum, p->input_multipliers[g], p->input_shifts[g]);
                    const int32_t h_part = thimble_requantize(h_sum, p->hidden_multipliers[g], p->hidden_shifts[g]);
                    gates[g] = thimble_saturate_s16(thimble_saturate_s16(x_part) + thimble_saturate_s16(h_part));
                }
                const int32_t next = thimble_lstm_cell(p, sigmoid_table, gates, cell + n);
                y[n] = (int8_t)thimble_clamp(next, INT8_MIN, INT8_MAX);
            }
            /* Only now: every cell of this step reads the hidden state of the step before. */
            for (int32_t n = 0; n < p->cells; n++) {
                hidden[n] = y[n];
            }
        }
        hidden += p->cells;
        cell += p->cells;
    }
}
