/* SPDX-License-Identifier: 0BSD */
#include "thimble_fill_lanes_dsp.h"

/* Element x of a lane of a plane's row. */
static inline void put_element(uint32_t *row, int32_t x, int32_t value) {
    uint32_t *word = row + THIMBLE_PLANE_LANES * (x / 2);
    *word = x % 2 == 0 ? thimble_pair(value, thimble_high(*word)) : thimble_pair(thimble_low(*word), value);
}

void thimble_fill_lanes_dsp(const thimble_planes_dsp_params *params, const thimble_planes_job *job, int32_t from,
                            int32_t end) {
    const thimble_planes_dsp_params *p = params;
    uint32_t *row = job->to - THIMBLE_PLANE_LANES * (p->window.pad_left / 2) + THIMBLE_PLANE_LANES - (end - from);
    for (const int8_t *const *line = job->inputs; line < job->inputs_end; line++) {
        for (int32_t c = from; c < end; c++) {
            if (p->window.pad_left % 2 != 0) {
                put_element(row + c - from, p->window.pad_left - 1, p->input_zero_point);
            }
            for (int32_t x = 0; x < p->window.input_width; x++) {
                put_element(row + c - from, p->window.pad_left + x, (*line)[x * job->pixel_bytes + c]);
            }
            if ((p->window.pad_left + p->window.input_width) % 2 != 0) {
                put_element(row + c - from, p->window.pad_left + p->window.input_width, p->input_zero_point);
            }
        }
        row += THIMBLE_PLANE_LANES * p->row_words;
    }
}
