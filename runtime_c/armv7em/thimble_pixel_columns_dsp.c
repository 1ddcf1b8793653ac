/* SPDX-License-Identifier: 0BSD */
#include "thimble_pixel_columns_dsp.h"

/* A firmware has one of the two functions that widen: in each of them `folded` is to be a constant. */
#define THIMBLE_INLINE static inline __attribute__((always_inline))

/* Four pixels as a group of columns, word by word side by side: loads come first, so that they pipeline. */
THIMBLE_INLINE void widen_four(int32_t folded, const int8_t *const *pixels, int32_t bytes, uint32_t *to) {
    const int8_t *const a = pixels[0];
    const int8_t *const b = pixels[1];
    const int8_t *const c = pixels[2];
    const int8_t *const d = pixels[3];
    for (int32_t at = 0; at < bytes; at += 4) {
        const uint32_t word_a = thimble_load_4(a + at);
        const uint32_t word_b = thimble_load_4(b + at);
        const uint32_t word_c = thimble_load_4(c + at);
        const uint32_t word_d = thimble_load_4(d + at);
        thimble_put_grouped_word(folded, to, word_a);
        thimble_put_grouped_word(folded, to + 1, word_b);
        thimble_put_grouped_word(folded, to + 2, word_c);
        thimble_put_grouped_word(folded, to + 3, word_d);
        to += 8;
    }
}

/* A pixel as a column whose words lie one behind the other. */
THIMBLE_INLINE void widen_one(int32_t folded, const int8_t *pixel, int32_t bytes, uint32_t *to) {
    for (int32_t at = 0; at < bytes; at += 4) {
        thimble_put_word(folded, to, thimble_load_4(pixel + at));
        to += 2;
    }
}

/* All columns of a product: groups of four, and those behind the last one. */
THIMBLE_INLINE void widen(int32_t folded, const int8_t *const *pixels, int32_t columns, int32_t depth, uint32_t *to) {
    int32_t column = 0;
    for (; column + 4 <= columns; column += 4) {
        widen_four(folded, pixels + column, depth, to);
        to += 2 * depth;
    }
    for (; column < columns; column++) {
        widen_one(folded, pixels[column], depth, to);
        to += depth / 2;
    }
}

void thimble_widen_columns_folded(const int8_t *const *pixels, int32_t columns, int32_t depth, uint32_t *to) {
    widen(1, pixels, columns, depth, to);
}

void thimble_widen_columns_plain(const int8_t *const *pixels, int32_t columns, int32_t depth, uint32_t *to) {
    widen(0, pixels, columns, depth, to);
}

void thimble_pixel_columns_dsp(const thimble_columns_dsp_params *params, thimble_matmul_function matmul,
                               thimble_widen_columns widen_columns, const thimble_rows *input, const int32_t *packed,
                               uint32_t *scratch, const thimble_rows *output, int32_t first, int32_t end) {
    const thimble_columns_dsp_params *p = params;
    int8_t *outputs[THIMBLE_MAX_COLUMNS];
    const int8_t *pixels[THIMBLE_MAX_COLUMNS];
    thimble_matmul_job job = thimble_columns_job(p, packed, scratch);
    job.outputs = outputs;
    int32_t left = (end - first) * p->window.output_width;
    int32_t wanted = thimble_columns_portion(p, left);
    int32_t last = left < wanted ? left : wanted;
    int32_t columns = 0;
    for (int32_t y = first; y < end; y++) {
        const int8_t *pixel = thimble_row(input, thimble_image(p->window, y) + thimble_window_top(p->window, y));
        int8_t *to = thimble_row(output, y);
        for (int32_t x = 0; x < p->window.output_width; x++) {
            pixels[columns] = pixel;
            outputs[columns++] = to;
            pixel += p->window.stride_width * p->depth;
            to += p->output_channels;
            if (columns == last) {
                for (; columns < wanted; columns++) { /* the last column again where its group is not full */
                    pixels[columns] = pixels[last - 1];
                    outputs[columns] = outputs[last - 1];
                }
                widen_columns(pixels, wanted, p->depth, scratch);
                job.outputs_end = outputs + wanted / 4 * 4;
                job.tails_end = outputs + wanted;
                matmul(&job);
                left -= last;
                wanted = thimble_columns_portion(p, left);
                last = left < wanted ? left : wanted;
                columns = 0;
            }
        }
    }
}
