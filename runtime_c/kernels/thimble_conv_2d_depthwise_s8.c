/* SPDX-License-Identifier: 0BSD */
#include "thimble_conv_2d_depthwise_s8.h"

void thimble_conv_2d_depthwise_s8(const thimble_conv_2d_depthwise_s8_params *params, const thimble_rows *input,
                                  const int8_t *weights, const int32_t *bias, const int32_t *multipliers,
                                  const int8_t *shifts, const int8_t *depthwise_weights, const int32_t *depthwise_bias,
                                  const int32_t *depthwise_multipliers, const int8_t *depthwise_shifts,
                                  uint8_t *between, const thimble_rows *output, int32_t first, int32_t end) {
    const thimble_depthwise_conv_2d_s8_params *p = &params->depthwise;
    const thimble_rows rows = {between, 0, p->window.input_width * p->input_channels};
    thimble_conv_2d_s8(&params->convolution, input, weights, bias, multipliers, shifts, &rows, 0, params->between_rows);
    thimble_depthwise_conv_2d_s8(p, &rows, depthwise_weights, depthwise_bias, depthwise_multipliers, depthwise_shifts,
                                 output, first, end);
}
