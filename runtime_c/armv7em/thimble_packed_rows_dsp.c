/* SPDX-License-Identifier: 0BSD */
#include "thimble_packed_rows_dsp.h"

#include "thimble_dsp.h"
#include "thimble_packed.h"

static int32_t words_of(int32_t bytes) {
    return (bytes + 3) / 4;
}

/* Four fields, one a byte, with the sign that is their highest bit. */
static inline uint32_t signed_bytes(uint32_t fields, int bits) {
    const uint32_t sign = 0x01010101u << (bits - 1);
    return ((fields ^ sign) + (0x80808080u - sign)) ^ 0x80808080u;
}

static inline void unpack_run(const uint8_t *from, int8_t *to, int32_t count, int bits) {
    for (; count >= 4; count -= 4) {
        uint32_t fields = from[0];
        if (bits == 4) {
            fields |= (uint32_t)from[1] << 16;
            fields = (fields | fields << 4) & 0x0F0F0F0Fu;
        } else {
            fields = (fields | fields << 12) & 0x000F000Fu;
            fields = (fields | fields << 6) & 0x03030303u;
        }
        thimble_store_4(to, signed_bytes(fields, bits));
        from += bits / 2;
        to += 4;
    }
    for (int32_t i = 0; i < count; i++) {
        to[i] = (int8_t)thimble_packed_get(from, i, bits);
    }
}

static inline void pack_run(const int8_t *from, uint8_t *to, int32_t count, int bits) {
    for (; count >= 4; count -= 4) {
        uint32_t fields = thimble_load_4(from);
        if (bits == 4) {
            fields &= 0x0F0F0F0Fu;
            fields |= fields >> 4;
            to[0] = (uint8_t)fields;
            to[1] = (uint8_t)(fields >> 16);
        } else {
            fields &= 0x03030303u;
            fields = (fields | fields >> 6) & 0x000F000Fu;
            to[0] = (uint8_t)(fields | fields >> 12);
        }
        from += 4;
        to += bits / 2;
    }
    thimble_packed_writer rest = {to, 0, 0};
    for (int32_t i = 0; i < count; i++) {
        thimble_packed_put(&rest, from[i], bits);
    }
    thimble_packed_end(&rest);
}

static void unpack_row(const uint8_t *from, int8_t *to, int32_t pixels, int32_t channels, int bits) {
    if (channels * bits % 8 == 0) { /* no gaps between pixels */
        channels *= pixels;
        pixels = 1;
    }
    for (; pixels > 0; pixels--) {
        if (bits == 4) {
            unpack_run(from, to, channels, 4);
        } else {
            unpack_run(from, to, channels, 2);
        }
        from += thimble_packed_bytes(channels, bits);
        to += channels;
    }
}

static void pack_row(const int8_t *from, uint8_t *to, int32_t pixels, int32_t channels, int bits) {
    if (channels * bits % 8 == 0) {
        channels *= pixels;
        pixels = 1;
    }
    for (; pixels > 0; pixels--) {
        if (bits == 4) {
            pack_run(from, to, channels, 4);
        } else {
            pack_run(from, to, channels, 2);
        }
        from += channels;
        to += thimble_packed_bytes(channels, bits);
    }
}

thimble_packed_rows thimble_packed_rows_open(const thimble_packed_rows_params *params, const thimble_rows *input,
                                             const thimble_rows *output, void *scratch) {
    const thimble_packed_rows_params *p = params;
    thimble_packed_rows rows = {p, *input, *output, *input, *output, 0};
    if (p->flat) {
        rows.packed_input.row_bytes = p->input_width * thimble_packed_bytes(p->input_channels, p->input_bits);
        rows.packed_output.row_bytes = p->output_width * thimble_packed_bytes(p->output_channels, p->output_bits);
        rows.input = rows.packed_input;
        rows.output = rows.packed_output;
    }
    uint32_t *free = scratch;
    if (p->input_bits < 8) {
        const int32_t row_words = words_of(p->input_width * p->input_channels);
        uint16_t *offsets = scratch;
        for (int32_t y = 0, place = 0; y < p->all_rows; y++) {
            offsets[y] = (uint16_t)(place * row_words);
            place = place + 1 < p->reach ? place + 1 : 0;
        }
        free += words_of(2 * p->all_rows);
        rows.input.base = (uint8_t *)free;
        rows.input.offsets = offsets;
        free += p->reach * row_words;
    }
    if (p->output_bits < 8) {
        rows.output.base = (uint8_t *)free;
        rows.output.offsets = 0;
        rows.output.row_bytes = 0;
    }
    return rows;
}

void thimble_packed_rows_fetch(thimble_packed_rows *rows, int32_t row) {
    const thimble_packed_rows_params *p = rows->p;
    if (p->input_bits == 8) {
        return;
    }
    const int32_t image = row / p->output_height;
    const int32_t above = image * p->input_height;
    const int32_t top = (row - image * p->output_height) * p->stride + p->first_row;
    const int32_t end = above + (top + p->reach < p->input_height ? top + p->reach : p->input_height);
    int32_t y = above + (top > 0 ? top : 0);
    for (y = y > rows->next ? y : rows->next; y < end; y++) {
        unpack_row(thimble_row(&rows->packed_input, y), thimble_row(&rows->input, y), p->input_width, p->input_channels,
                   p->input_bits);
    }
    rows->next = end > rows->next ? end : rows->next;
}

void thimble_packed_rows_store(const thimble_packed_rows *rows, int32_t row) {
    const thimble_packed_rows_params *p = rows->p;
    if (p->output_bits < 8) {
        pack_row(thimble_row(&rows->output, row), thimble_row(&rows->packed_output, row), p->output_width,
                 p->output_channels, p->output_bits);
    }
}
