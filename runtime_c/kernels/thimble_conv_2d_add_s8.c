/* SPDX-License-Identifier: 0BSD */
#include "thimble_conv_2d_add_s8.h"

/* Bits that both operands gain, as in thimble_add_s8. */
#define LEFT_SHIFT 20

void thimble_conv_2d_add_s8(const thimble_conv_2d_add_s8_params *params, const thimble_rows *input,
                            const int8_t *weights, const int32_t *bias, const int32_t *multipliers,
                            const int8_t *shifts, const thimble_rows *residual, int8_t *pixel,
                            const thimble_rows *output, int32_t first, int32_t end) {
    const thimble_conv_2d_s8_params *p = &params->convolution;
    const thimble_rows made = {.base = (uint8_t *)pixel}; /* all rows are this pixel */
    thimble_conv_2d_s8_params next = *p;                  /* a row of one pixel: the next one of the output */
    next.window.output_width = 1;
    for (int32_t row = first; row < end; row++) {
        const int8_t *other = thimble_row(residual, row);
        int8_t *out = thimble_row(output, row);
        for (int32_t x = 0; x < p->window.output_width; x++) {
            next.window.pad_left = p->window.pad_left - x * p->window.stride_width;
            thimble_conv_2d_s8(&next, input, weights, bias, multipliers, shifts, &made, row, row + 1);
            for (int32_t o = 0; o < p->output_channels; o++) {
                const int32_t a = params->residual_comes_first ? *other : pixel[o];
                const int32_t b = params->residual_comes_first ? pixel[o] : *other;
                *out++ = (int8_t)thimble_add_values(&params->addition, LEFT_SHIFT, a, b);
                other++;
            }
        }
    }
}
