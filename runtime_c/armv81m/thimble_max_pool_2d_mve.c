/* SPDX-License-Identifier: 0BSD */
#include "thimble_max_pool_2d_mve.h"

#include "thimble_mve.h"

#define LANES 16

void thimble_max_pool_2d_mve(const thimble_max_pool_2d_mve_params *params, const thimble_rows *input,
                             const thimble_rows *output, int32_t first, int32_t end) {
    const thimble_pool_2d_params *p = params;
    const int8x16_t low = vdupq_n_s8((int8_t)p->output_min);
    const int8x16_t high = vdupq_n_s8((int8_t)p->output_max);
    for (int32_t row = first; row < end; row++) {
        const int32_t image = thimble_image(p->window, row);
        const thimble_span rows = thimble_row_span(p->window, row);
        int8_t *out = thimble_row(output, row);
        for (int32_t x = 0; x < p->window.output_width; x++) {
            const thimble_span columns = thimble_column_span(p->window, x);
            for (int32_t c = 0; c < p->channels; c += LANES) {
                const mve_pred16_t active = vctp8q((uint32_t)(p->channels - c));
                int8x16_t most = vdupq_n_s8(INT8_MIN);
                for (int32_t y = rows.begin; y < rows.end; y++) {
                    const int8_t *in = thimble_row(input, image + y);
                    in += columns.begin * p->channels + c;
                    for (int32_t i = columns.begin; i < columns.end; i++) {
                        most = vmaxq_s8(most, vldrbq_z_s8(in, active));
                        in += p->channels;
                    }
                }
                vstrbq_p_s8(out + c, vminq_s8(vmaxq_s8(most, low), high), active);
            }
            out += p->channels;
        }
    }
}
