/* SPDX-License-Identifier: 0BSD */
#include "thimble_panel_scalar.h"

/* Where a window begins. */
typedef struct {
    int32_t image; /* row of the input at which the image begins */
    int32_t top;
    int32_t left;
} window_place;

/* What lies under a few taps of a kernel row: bytes one behind the other, or one byte again and again. */
typedef struct {
    const int8_t *bytes;
    int32_t step;
} tap_bytes;

static window_place place_of(const thimble_panel_scalar_params *p, int32_t pixel) {
    const int32_t row = pixel / p->output_width;
    const int32_t image = row / p->output_height;
    const window_place place = {image * p->input_height,
                                (row - image * p->output_height) * p->stride_height - p->pad_top,
                                (pixel - row * p->output_width) * p->stride_width - p->pad_left};
    return place;
}

/* The line under row `y` of a window, null outside of the input. */
static const int8_t *line_under(const thimble_panel_scalar_params *p, const thimble_rows *input, window_place place,
                                int32_t y) {
    const int32_t row = place.top + y * p->dilation_height;
    return row >= 0 && row < p->input_height ? thimble_row(input, place.image + row) : 0;
}

static int row_is_inside(const thimble_panel_scalar_params *p, window_place place) {
    return p->dilation_width == 1 && place.left >= 0 && place.left + p->kernel_width <= p->input_width;
}

static tap_bytes bytes_under(const thimble_panel_scalar_params *p, const int8_t *line, int32_t column,
                             const int8_t *border) {
    const int inside = line && column >= 0 && column < p->input_width;
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

void thimble_panel_scalar(const thimble_panel_scalar_params *params, const thimble_rows *input, int32_t pixel,
                          int32_t second, uint32_t *panel, int32_t step) {
    const thimble_panel_scalar_params *p = params;
    const int8_t border = (int8_t)p->input_zero_point;
    const window_place low = place_of(p, pixel);
    const window_place high = second ? place_of(p, pixel + 1) : low;
    const int joined = row_is_inside(p, low) && row_is_inside(p, high);
    const int32_t taps = joined ? 1 : p->kernel_width;
    const int32_t run = joined ? p->kernel_width * p->input_channels : p->input_channels;
    for (int32_t y = 0; y < p->kernel_height; y++) {
        const int8_t *low_line = line_under(p, input, low, y);
        const int8_t *high_line = line_under(p, input, high, y);
        for (int32_t x = 0; x < taps; x++) {
            const int32_t at = x * p->dilation_width;
            panel = fill(panel, step, bytes_under(p, low_line, low.left + at, &border),
                         bytes_under(p, high_line, high.left + at, &border), run);
        }
    }
}
