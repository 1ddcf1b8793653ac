/* SPDX-License-Identifier: 0BSD */
#include "thimble_average_pool_2d_mve.h"

#include "thimble_common.h"
#include "thimble_pixel_sums_mve.h"

#define LANES 8

void thimble_average_pool_2d_mve(const thimble_average_pool_2d_mve_params *params, const thimble_rows *input,
                                 const thimble_rows *output, int32_t first, int32_t end) {
    const thimble_pool_2d_params *p = params;
    for (int32_t row = first; row < end; row++) {
        const int32_t image = thimble_image(p->window, row);
        const thimble_span rows = thimble_row_span(p->window, row);
        int8_t *out = thimble_row(output, row);
        for (int32_t x = 0; x < p->window.output_width; x++) {
            const thimble_span columns = thimble_column_span(p->window, x);
            const int32_t width = columns.end - columns.begin;
            const int32_t count = (rows.end - rows.begin) * width;
            for (int32_t c = 0; c < p->channels; c += LANES) {
                const mve_pred16_t active = vctp16q((uint32_t)(p->channels - c));
                const int32_t at = columns.begin * p->channels + c;
                int16x8_t sums = vdupq_n_s16(0);
                for (int32_t y = rows.begin; y < rows.end; y++) {
                    const int8_t *line = thimble_row(input, image + y);
                    sums = thimble_add_pixels_mve(sums, line + at, width, p->channels, active);
                }
                int16_t totals[LANES];
                vstrhq_p_s16(totals, sums, active);
                for (int32_t i = 0; i < LANES && c + i < p->channels; i++) {
                    const int32_t sum = totals[i];
                    const int32_t value = thimble_rounded_mean(sum, count);
                    *out++ = (int8_t)thimble_clamp(value, p->output_min, p->output_max);
                }
            }
        }
    }
}
