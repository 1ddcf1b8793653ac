/* SPDX-License-Identifier: 0BSD */
/* What the LSTM kernels for the two types of activations share. */
#ifndef THIMBLE_LSTM_H
#define THIMBLE_LSTM_H

#include <stdint.h>

#include "thimble_common.h"
#include "thimble_sigmoid.h"

/* Arrays with an element for each gate have them in this order. */
enum { THIMBLE_LSTM_INPUT, THIMBLE_LSTM_FORGET, THIMBLE_LSTM_CELL, THIMBLE_LSTM_OUTPUT, THIMBLE_LSTM_GATES };

/* Sizes in elements; zero points in [-128, 127], 0 for int16 activations. */
typedef struct {
    int32_t batches;
    int32_t time_steps;
    int32_t input_size;
    int32_t cells;
    int32_t time_major; /* 0: input (batches, time_steps, input_size); 1: (time_steps, batches, input_size) */
    int32_t input_zero_point;
    int32_t hidden_zero_point;
    int32_t input_multipliers[THIMBLE_LSTM_GATES]; /* from sums over the input to a gate's input */
    int32_t input_shifts[THIMBLE_LSTM_GATES];
    int32_t hidden_multipliers[THIMBLE_LSTM_GATES]; /* from sums over the hidden state to a gate's input */
    int32_t hidden_shifts[THIMBLE_LSTM_GATES];
    int32_t forget_multiplier; /* from forget gate * cell state to the cell state */
    int32_t forget_shift;
    int32_t update_multiplier; /* from input gate * cell gate to the cell state */
    int32_t update_shift;
    int32_t output_multiplier; /* from output gate * tanh(cell state) to the hidden state */
    int32_t output_shift;
    int32_t tanh_multiplier; /* from the cell state to tanh's argument; times 2^15 it is below 2^31 */
    int32_t tanh_shift;      /* to the right, in [0, 18] */
    int32_t cell_min;
    int32_t cell_max;
} thimble_lstm_params;

/* x limited to 16 bits. */
static inline int32_t thimble_saturate_s16(int32_t x) {
    return thimble_clamp(x, INT16_MIN, INT16_MAX);
}

/* Row of step `time` of `batch` in the input and in the output. */
static inline int32_t thimble_lstm_row(const thimble_lstm_params *p, int32_t batch, int32_t time) {
    return p->time_major != 0 ? time * p->batches + batch : batch * p->time_steps + time;
}

/* Updates one cell from its gates' inputs (16 bits, 12 of them fractional); its hidden state before the clamp. */
static inline int32_t thimble_lstm_cell(const thimble_lstm_params *p, const int16_t *sigmoid_table,
                                        const int32_t gates[THIMBLE_LSTM_GATES], int16_t *cell) {
    const int32_t keep = thimble_logistic_q15(sigmoid_table, 3 * gates[THIMBLE_LSTM_FORGET]);
    const int32_t admit = thimble_logistic_q15(sigmoid_table, 3 * gates[THIMBLE_LSTM_INPUT]);
    const int32_t candidate = thimble_tanh_q15(sigmoid_table, 3 * gates[THIMBLE_LSTM_CELL]);
    const int32_t kept = thimble_saturate_s16(thimble_requantize(keep * *cell, p->forget_multiplier, p->forget_shift));
    const int32_t added =
        thimble_saturate_s16(thimble_requantize(admit * candidate, p->update_multiplier, p->update_shift));
    *cell = (int16_t)thimble_clamp(thimble_saturate_s16(kept + added), p->cell_min, p->cell_max);

    const int32_t emit = thimble_logistic_q15(sigmoid_table, 3 * gates[THIMBLE_LSTM_OUTPUT]);
    const int32_t rounding = p->tanh_shift > 0 ? (int32_t)1 << (p->tanh_shift - 1) : 0;
    const int32_t argument = (*cell * p->tanh_multiplier + rounding) >> p->tanh_shift;
    const int32_t squashed = thimble_tanh_q15(sigmoid_table, argument);
    return thimble_add(thimble_requantize(squashed * emit, p->output_multiplier, p->output_shift),
                       p->hidden_zero_point);
}

#endif
