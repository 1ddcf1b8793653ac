/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_CONV_2D_ADD_S8_H
#define THIMBLE_CONV_2D_ADD_S8_H

#include <stdint.h>

#include "thimble_add.h"
#include "thimble_conv_2d_s8.h"

typedef struct {
    thimble_conv_2d_s8_params convolution;
    thimble_add_params addition;  /* of what the convolution gives, and the residual */
    int32_t residual_comes_first; /* as the first of the two */
} thimble_conv_2d_add_s8_params;

/* thimble_conv_2d_s8 and thimble_add_s8 in one: what the convolution gives is kept for a single pixel.
 * residual, output (batches, output_height, output_width, output_channels); pixel (output_channels) scratch.
 * Output rows may lie exactly over those of the residual; all else is as in thimble_conv_2d_s8. */
void thimble_conv_2d_add_s8(const thimble_conv_2d_add_s8_params *params, const thimble_rows *input,
                            const int8_t *weights, const int32_t *bias, const int32_t *multipliers,
                            const int8_t *shifts, const thimble_rows *residual, int8_t *pixel,
                            const thimble_rows *output, int32_t first, int32_t end);

#endif
