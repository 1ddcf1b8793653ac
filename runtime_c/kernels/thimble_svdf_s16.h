/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_SVDF_S16_H
#define THIMBLE_SVDF_S16_H

#include <stdint.h>

#include "thimble_svdf.h"

typedef thimble_svdf_params thimble_svdf_s16_params;

/* SVDF with int8 activations and an int16 state: each filter keeps its last values, the output is their weighted sum.
 * input (batches, input_size); feature_weights (filters, input_size), in [-127, 127]
 * time_weights (filters, memory); bias (units); filter f belongs to unit f / rank
 * state (batches, filters, memory), oldest value first: each value moves one place down, a new one is appended
 * output (batches, units); must not overlap the input
 * Sums wrap around at 32 bits. */
void thimble_svdf_s16(const thimble_svdf_s16_params *params, const int8_t *input, const int8_t *feature_weights,
                      const int16_t *time_weights, const int32_t *bias, int16_t *state, int8_t *output);

#endif
