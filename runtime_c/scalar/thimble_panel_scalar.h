/* SPDX-License-Identifier: 0BSD */
/* Windows of a few pixels side by side, for convolutions on cores without SIMD instructions. */
#ifndef THIMBLE_PANEL_SCALAR_H
#define THIMBLE_PANEL_SCALAR_H

#include <stdint.h>

#include "thimble_rows.h"
#include "thimble_window.h"

/* Sizes in elements; zero points and output limits in [-128, 127]. */
typedef struct {
    int32_t input_channels;
    int32_t output_channels;
    thimble_window window;
    int32_t dilation_height;
    int32_t dilation_width;
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t depth; /* of a window in the panel */
} thimble_panel_scalar_params;

/* An output pixel. */
typedef struct {
    int32_t row; /* of all images */
    int32_t x;
    int32_t y;     /* in its image */
    int32_t image; /* the input row at which its image begins */
} thimble_pixel;

/* The first pixel of an output row. */
static inline thimble_pixel thimble_first_pixel(const thimble_panel_scalar_params *p, int32_t row) {
    const thimble_pixel pixel = {row, 0, row % p->window.output_height, thimble_image(p->window, row)};
    return pixel;
}

/* The pixel behind another. */
static inline thimble_pixel thimble_next_pixel(const thimble_panel_scalar_params *p, thimble_pixel pixel) {
    if (++pixel.x == p->window.output_width) {
        pixel.x = 0;
        pixel.row++;
        if (++pixel.y == p->window.output_height) {
            pixel.y = 0;
            pixel.image += p->window.input_height;
        }
    }
    return pixel;
}

/* The windows of two output pixels, tap by tap: words high * 2^16 + low at every `step`-th place of `panel`. Taps
 * outside of the input hold its zero point. */
void thimble_panel_scalar(const thimble_panel_scalar_params *params, const thimble_rows *input,
                          const thimble_pixel *low, const thimble_pixel *high, uint32_t *panel, int32_t step);

#endif
