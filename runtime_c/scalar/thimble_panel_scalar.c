/* SPDX-License-Identifier: 0BSD */
#include "thimble_panel_scalar.h"

/* What lies under a few taps of a kernel row: bytes one behind the other, or one byte again and again. */
typedef struct {
    const int8_t *bytes;
    int32_t step;
} tap_bytes;

/* The line under row `y` of a window, null outside of the input. */
static const int8_t *line_under(const thimble_panel_scalar_params *p, const thimble_rows *input,
                                const thimble_pixel *pixel, int32_t y) {
    const int32_t row = pixel->y * p->window.stride_height - p->window.pad_top + y * p->dilation_height;
    return row >= 0 && row < p->window.input_height ? thimble_row(input, pixel->image + row) : 0;
}

/* Whether a window has no column outside of the input, and no gaps. */
static int is_joined(const thimble_panel_scalar_params *p, int32_t left) {
    return p->dilation_width == 1 && left >= 0 && left + p->window.kernel_width <= p->window.input_width;
}

static tap_bytes bytes_under(const thimble_panel_scalar_params *p, const int8_t *line, int32_t column,
                             const int8_t *border) {
    const int inside = line && column >= 0 && column < p->window.input_width;
    const tap_bytes found = {inside ? line + column * p->input_channels : border, inside};
    return found;
}

static uint32_t *fill(uint32_t *to, int32_t step, tap_bytes low, tap_bytes high, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        *to = ((uint32_t)*high.bytes << 16) + (uint32_t)*low.bytes;
        low.bytes += low.step;
        high.bytes += high.step;
        to += step;
    }
    return to;
}

void thimble_panel_scalar(const thimble_panel_scalar_params *params, const thimble_rows *input,
                          const thimble_pixel *low, const thimble_pixel *high, uint32_t *panel, int32_t step) {
    const thimble_panel_scalar_params *p = params;
    const int8_t border = (int8_t)p->input_zero_point;
    const int32_t low_left = thimble_window_left(p->window, low->x);
    const int32_t high_left = thimble_window_left(p->window, high->x);
    const int joined = is_joined(p, low_left) && is_joined(p, high_left);
    const int32_t runs = joined ? 1 : p->window.kernel_width;
    const int32_t length = joined ? p->window.kernel_width * p->input_channels : p->input_channels;
    for (int32_t y = 0; y < p->window.kernel_height; y++) {
        const int8_t *low_line = line_under(p, input, low, y);
        const int8_t *high_line = line_under(p, input, high, y);
        for (int32_t x = 0; x < runs; x++) {
            const int32_t at = x * p->dilation_width;
            panel = fill(panel, step, bytes_under(p, low_line, low_left + at, &border),
                         bytes_under(p, high_line, high_left + at, &border), length);
        }
    }
}
