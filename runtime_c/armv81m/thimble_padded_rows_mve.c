/* SPDX-License-Identifier: 0BSD */
#include "thimble_padded_rows_mve.h"

static int32_t larger(int32_t a, int32_t b) {
    return a > b ? a : b;
}

/* What all rows of a call share. */
static thimble_row_job_mve make_job(const thimble_padded_rows_mve_params *p, const int32_t *packed) {
    thimble_row_job_mve job = {
        .packed = (const int8_t *)packed,
        .width = p->portion,
        .channels = p->output_channels,
        .zero_point = p->output_zero_point,
        .pair_bytes = 2 * p->output_channels,
    };
    for (int32_t i = 0; i < 8; i++) {
        job.low[i] = (int16_t)p->output_min;
        job.high[i] = (int16_t)p->output_max;
    }
    return job;
}

void thimble_padded_rows_mve(const thimble_padded_rows_mve_params *params, thimble_row_function_mve function,
                             const thimble_rows *input, const int32_t *packed, int32_t *scratch,
                             const thimble_rows *output, int32_t first, int32_t end) {
    const thimble_padded_rows_mve_params *p = params;
    int8_t *copies = (int8_t *)scratch; /* (kernel_height, row_bytes): a ring, whose borders stay as they are */
    const int32_t left = p->pad_left * p->input_channels;
    const int32_t width = p->input_width * p->input_channels;
    thimble_row_job_mve job = make_job(p, packed);
    int32_t held = 0; /* the input row, counted from the border above, behind those that were copied last */
    thimble_fill_mve(copies, p->input_zero_point, p->kernel_height * p->row_bytes + 16);
    for (int32_t row = first; row < end; row++) {
        const int32_t image = row / p->output_height;
        const int32_t y = row - image * p->output_height;
        const int32_t begin = y * p->stride_height; /* counted in the same way */
        held = y == 0 || row == first ? begin : larger(held, begin);
        for (; held < begin + p->kernel_height; held++) {
            const int32_t line = held - p->pad_top;
            int8_t *copy = copies + held % p->kernel_height * p->row_bytes + left;
            if (line >= 0 && line < p->input_height) {
                thimble_copy_mve(copy, thimble_row(input, image * p->input_height + line), width);
            } else {
                thimble_fill_mve(copy, p->input_zero_point, width);
            }
        }
        for (int32_t ky = 0; ky < p->kernel_height; ky++) {
            job.rows[ky] = copies + (begin + ky) % p->kernel_height * p->row_bytes;
        }
        job.output = thimble_row(output, row);
        function(&job);
    }
}

void thimble_flat_pixels_mve(const thimble_padded_rows_mve_params *params, thimble_row_function_mve function,
                             const thimble_rows *input, const int32_t *packed, int32_t *scratch,
                             const thimble_rows *output) {
    const thimble_padded_rows_mve_params *p = params;
    const int8_t *from = (const int8_t *)input->base;
    thimble_row_job_mve job = make_job(p, packed);
    job.output = (int8_t *)output->base;
    for (int32_t left = p->output_width; left > 0; left -= p->portion) {
        job.width = left < p->portion ? left : p->portion;
        job.rows[0] = (const int8_t *)scratch;
        thimble_copy_mve((int8_t *)scratch, from, job.width * p->input_channels);
        function(&job);
        from += job.width * p->input_channels;
        job.output += job.width * p->output_channels;
    }
}
