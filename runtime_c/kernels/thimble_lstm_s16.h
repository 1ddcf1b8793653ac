/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_LSTM_S16_H
#define THIMBLE_LSTM_S16_H

#include <stdint.h>

#include "thimble_lstm.h"

typedef thimble_lstm_params thimble_lstm_s16_params;

/* LSTM over a sequence: int16 activations and cell state, int8 weights, no peephole, projection or normalization.
 * input (batches, time_steps, input_size), or time first
 * <gate>_weights (cells, input_size), <gate>_recurrent (cells, cells), <gate>_bias (cells); weights in [-127, 127]
 * hidden, cell (batches, cells): the states, updated
 * sigmoid_table (256): see thimble_sigmoid.h
 * output (batches, time_steps, cells), or time first: the hidden state after each step; must not overlap the input */
void thimble_lstm_s16(const thimble_lstm_s16_params *params, const int16_t *input, const int8_t *input_weights,
                      const int8_t *forget_weights, const int8_t *cell_weights, const int8_t *output_weights,
                      const int8_t *input_recurrent, const int8_t *forget_recurrent, const int8_t *cell_recurrent,
                      const int8_t *output_recurrent, const int64_t *input_bias, const int64_t *forget_bias,
                      const int64_t *cell_bias, const int64_t *output_bias, int16_t *hidden, int16_t *cell,
                      const int16_t *sigmoid_table, int16_t *output);

#endif
