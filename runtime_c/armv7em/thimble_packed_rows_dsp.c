/* SPDX-License-Identifier: 0BSD */
#include "thimble_packed_rows_dsp.h"

static int32_t words_of(int32_t bytes) {
    return (bytes + 3) / 4;
}

/* Rows of int8 in scratch, row y in place y % held; returns the free words behind them. */
static uint32_t *hold_rows(thimble_rows *rows, uint32_t *scratch, int32_t all_rows, int32_t row_bytes, int32_t held) {
    uint16_t *offsets = (uint16_t *)(void *)scratch;
    for (int32_t y = 0, place = 0; y < all_rows; y++) {
        offsets[y] = (uint16_t)(place * words_of(row_bytes));
        place = place + 1 < held ? place + 1 : 0;
    }
    scratch += words_of(2 * all_rows);
    rows->base = (uint8_t *)scratch;
    rows->offsets = offsets;
    return scratch + held * words_of(row_bytes);
}

thimble_packed_rows thimble_packed_rows_open(const thimble_packed_rows_params *params, const thimble_rows *input,
                                             const thimble_rows *output, void *scratch) {
    const thimble_packed_rows_params *p = params;
    thimble_packed_rows rows = {p, *input, *output, *input, *output, 0};
    uint32_t *free = scratch;
    if (p->input_bits < 8) {
        const int32_t held = (p->at_once - 1) * p->stride + p->reach;
        free = hold_rows(&rows.input, free, p->input_rows, p->input_width * p->input_channels, held);
    }
    if (p->output_bits < 8) {
        hold_rows(&rows.output, free, p->output_rows, p->output_width * p->output_channels, p->at_once);
    }
    return rows;
}

int32_t thimble_packed_rows_fetch(thimble_packed_rows *rows, int32_t row, int32_t end) {
    const thimble_packed_rows_params *p = rows->p;
    const int32_t image = row / p->output_height;
    const int32_t image_end = (image + 1) * p->output_height;
    end = end < image_end ? end : image_end;
    end = end < row + p->at_once ? end : row + p->at_once;
    if (p->input_bits == 8) {
        return end;
    }
    const int32_t above = image * p->input_height;
    const int32_t top = (row - image * p->output_height) * p->stride + p->first_row;
    const int32_t bottom = top + (end - row - 1) * p->stride + p->reach;
    const int32_t behind = above + (bottom < p->input_height ? bottom : p->input_height);
    int32_t y = above + (top > 0 ? top : 0);
    for (y = y > rows->next ? y : rows->next; y < behind; y++) {
        thimble_unpack_pixels_dsp(thimble_row(&rows->packed_input, y), thimble_row(&rows->input, y), p->input_width,
                                  p->input_channels, p->input_bits);
    }
    rows->next = behind > rows->next ? behind : rows->next;
    return end;
}

void thimble_packed_rows_store(const thimble_packed_rows *rows, int32_t row, int32_t end) {
    const thimble_packed_rows_params *p = rows->p;
    for (; p->output_bits < 8 && row < end; row++) {
        thimble_pack_pixels_dsp(thimble_row(&rows->output, row), thimble_row(&rows->packed_output, row),
                                p->output_width, p->output_channels, p->output_bits);
    }
}
