/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_DEPTHWISE_CONV_2D_LATE_S8_H
#define THIMBLE_DEPTHWISE_CONV_2D_LATE_S8_H

#include <stdint.h>

#include "thimble_depthwise_conv_2d_s8.h"

typedef thimble_depthwise_conv_2d_s8_params thimble_depthwise_conv_2d_late_s8_params;

/* The same as thimble_depthwise_conv_2d_s8, but that each pixel of an output row is written only when the next one is
 * computed: so the row may lie one pixel further behind over input rows than there.
 * scratch (2, output_channels) */
void thimble_depthwise_conv_2d_late_s8(const thimble_depthwise_conv_2d_late_s8_params *params,
                                       const thimble_rows *input, const int8_t *weights, const int32_t *bias,
                                       const int32_t *multipliers, const int8_t *shifts, uint8_t *scratch,
                                       const thimble_rows *output, int32_t first, int32_t end);

#endif
