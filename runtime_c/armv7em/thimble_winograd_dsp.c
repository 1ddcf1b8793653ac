/* SPDX-License-Identifier: 0BSD */
#include "thimble_winograd_dsp.h"

/* Flips the sign bit of four bytes: adds 128 to each. */
#define SIGN_BITS 0x80808080u

/* 1 / 9 modulo 2^32. */
#define INVERSE_OF_9 0x38E38E39u

/* `words` words of pixels into a window. */
static inline void put_pixels(const int8_t *from, uint32_t *to, int32_t words) {
    for (; words >= 4; words -= 4) {
        const uint32_t a = thimble_load_4(from);
        const uint32_t b = thimble_load_4(from + 4);
        const uint32_t c = thimble_load_4(from + 8);
        const uint32_t d = thimble_load_4(from + 12);
        to[0] = a ^ SIGN_BITS;
        to[1] = b ^ SIGN_BITS;
        to[2] = c ^ SIGN_BITS;
        to[3] = d ^ SIGN_BITS;
        from += 16;
        to += 4;
    }
    for (; words > 0; words--) {
        *to++ = thimble_load_4(from) ^ SIGN_BITS;
        from += 4;
    }
}

static inline void put_border(const thimble_winograd_dsp_params *p, uint32_t *to, int32_t words) {
    const uint32_t border = (((uint32_t)p->input_zero_point & 0xFFu) * 0x01010101u) ^ SIGN_BITS;
    for (; words > 0; words--) {
        *to++ = border;
    }
}

/* One row of a window, `from` null outside of the input. */
static __attribute__((noinline)) void put_row(const thimble_winograd_dsp_params *p, const int8_t *from, uint32_t *to) {
    const int32_t words = p->input_channels / 4;
    const int32_t pixels = p->output_width + 2;
    if (from == 0) {
        put_border(p, to, pixels * words);
        return;
    }
    const int32_t wanted = pixels - p->pad_left;
    const int32_t inside = wanted < p->input_width ? wanted : p->input_width;
    put_border(p, to, p->pad_left * words);
    to += p->pad_left * words;
    put_pixels(from, to, inside * words);
    put_border(p, to + inside * words, (wanted - inside) * words);
}

/* The portable twin of the assembly's input transform, for one line of six words. */
static void transform_line(const uint32_t *d, uint32_t *to, int32_t to_step) {
    const uint32_t d1 = d[1];
    const uint32_t d2 = d[2];
    const uint32_t d3 = d[3];
    const uint32_t d4 = d[4];
    to[0] = 4 * d[0] - 5 * d2 + d4;
    to[to_step] = d4 - 4 * d2 + (d3 - 4 * d1);
    to[2 * to_step] = d4 - 4 * d2 - (d3 - 4 * d1);
    to[3 * to_step] = d4 - d2 + 2 * (d3 - d1);
    to[4 * to_step] = d4 - d2 - 2 * (d3 - d1);
    to[5 * to_step] = 4 * d1 - 5 * d3 + d[5];
}

static void input_portable(const thimble_winograd_dsp_params *p, const uint32_t *window, uint32_t *inputs) {
    const int32_t pixel_words = p->input_channels / 4;
    const int32_t row_words = (p->output_width + 2) * pixel_words;
    const int32_t position_words = p->tiles * p->input_channels / 2;
    for (int32_t c = 0; c < 2 * pixel_words; c++) {
        uint32_t bytes[THIMBLE_WINOGRAD_POSITIONS]; /* (rows, columns) */
        uint32_t half[THIMBLE_WINOGRAD_POSITIONS];  /* (positions, rows) */
        uint32_t done[THIMBLE_WINOGRAD_POSITIONS];
        for (int32_t i = 0; i < THIMBLE_WINOGRAD_POSITIONS; i++) {
            bytes[i] = window[i / 6 * row_words + i % 6 * pixel_words + c / 2] >> (c % 2 * 8) & 0x00FF00FFu;
        }
        for (int32_t row = 0; row < 6; row++) {
            transform_line(bytes + 6 * row, half + row, 6);
        }
        for (int32_t column = 0; column < 6; column++) {
            transform_line(half + 6 * column, done + 6 * column, 1);
        }
        for (int32_t i = 0; i < THIMBLE_WINOGRAD_POSITIONS; i++) {
            inputs[i * position_words + c] = done[i] + ((done[i] & 0x8000u) << 1);
        }
    }
}

static void products_portable(const thimble_winograd_dsp_params *p, const uint32_t *inputs, const int32_t *weights,
                              int32_t *products) {
    const int32_t steps = p->input_channels / 2;
    for (int32_t position = 0; position < THIMBLE_WINOGRAD_POSITIONS; position++) {
        for (int32_t tile = 0; tile < p->tiles; tile++) {
            for (int32_t channel = 0; channel < 2; channel++) {
                uint32_t sum = 0;
                for (int32_t i = 0; i < steps; i++) {
                    sum += thimble_dot(inputs[i], (uint32_t)weights[2 * i + channel]);
                }
                products[(2 * tile + channel) * THIMBLE_WINOGRAD_POSITIONS + position] = (int32_t)sum;
            }
            inputs += steps;
        }
        weights += 2 * steps;
    }
}

/* The portable twin of the output transform: y of 24, 12, 6 and 6 times output `row` of six values, modulo 2^32. */
static uint32_t transform_products(const uint32_t *m, int32_t row) {
    static const int8_t factors[4][6] = {
        {2, -4, -4, 1, 1, 0}, {0, -2, 2, 1, -1, 0}, {0, -1, -1, 1, 1, 0}, {0, -1, 1, 2, -2, 2}};
    uint32_t sum = 0;
    for (int32_t i = 0; i < 6; i++) {
        sum += (uint32_t)(int32_t)factors[row][i] * m[i];
    }
    return sum;
}

static void output_portable(const thimble_winograd_dsp_params *p, const thimble_winograd_output_job *job) {
    const thimble_tail tail = {0, 0, 0};
    const uint32_t *m = (const uint32_t *)job->products;
    int8_t *to = job->output;
    for (;;) {
        for (int32_t i = 0; i < 2 * 4 * job->rows; i++) {
            const int32_t channel = i % 2;
            const int32_t column = i / 2 % 4;
            const int32_t row = i / 8;
            const int32_t *constants = job->constants + 4 * channel;
            uint32_t half[6];
            for (int32_t j = 0; j < 6; j++) {
                half[j] = transform_products(m + channel * THIMBLE_WINOGRAD_POSITIONS + 6 * j, row);
            }
            const int32_t bits = (row < 2 ? row : 2) + (column < 2 ? column : 2);
            const uint32_t scaled = transform_products(half, column) * (INVERSE_OF_9 << bits);
            const int32_t sum = (int32_t)(scaled + (uint32_t)constants[0]);
            const int32_t tie = p->rounds_ties && sum < 0 ? 32 : 0;
            const int32_t value = thimble_high_product(sum, constants[1]) + constants[2] - tie;
            to[(row * p->output_width + column) * p->output_channels + channel] =
                thimble_tail_byte(tail, value >> constants[3]);
        }
        if (to == job->last_output) {
            return;
        }
        to += 4 * p->output_channels;
        to = to > job->last_output ? job->last_output : to;
        m += 2 * THIMBLE_WINOGRAD_POSITIONS;
    }
}

/* All tiles of one row of tiles, the first of whose output rows is `row` of its image. */
static void transform_tiles(const thimble_winograd_dsp_params *p, thimble_winograd_functions functions,
                            const thimble_rows *input, int32_t image, int32_t row, uint32_t *window, uint32_t *inputs) {
    const int32_t words = p->input_channels / 4;
    for (int32_t i = 0; i < 6; i++) {
        const int32_t line = row - p->pad_top + i;
        const int inside = line >= 0 && line < p->input_height;
        put_row(p, inside ? thimble_row(input, image * p->input_height + line) : 0,
                window + i * (p->output_width + 2) * words);
    }
    for (int32_t x = 0; x < p->output_width; x += 4) {
        const int32_t left = x + 4 <= p->output_width ? x : p->output_width - 4;
        if (functions.input != 0) {
            functions.input(window + words * left, inputs);
        } else {
            input_portable(p, window + words * left, inputs);
        }
        inputs += 2 * words;
    }
}

/* Two channels of `rows` output rows. */
static void finish_pair(const thimble_winograd_dsp_params *p, thimble_winograd_functions functions,
                        const int32_t *products, const int32_t *constants, int8_t *output, int32_t rows) {
    const int32_t tiles = (p->output_width + 3) / 4;
    for (; rows > 0; rows -= 4) {
        const thimble_winograd_output_job job = {
            .products = products,
            .output = output,
            .last_output = output + (p->output_width - 4) * p->output_channels,
            .constants = constants,
            .rows = rows < 4 ? rows : 4,
        };
        if (functions.output != 0) {
            functions.output(&job);
        } else {
            output_portable(p, &job);
        }
        products += tiles * 2 * THIMBLE_WINOGRAD_POSITIONS;
        output += 4 * p->output_width * p->output_channels;
    }
}

/* A batch: `rows` output rows from `row` of an image on. */
static void run_batch(const thimble_winograd_dsp_params *p, thimble_winograd_functions functions,
                      const thimble_rows *input, const int32_t *packed, uint32_t *scratch, const thimble_rows *output,
                      int32_t image, int32_t row, int32_t rows) {
    const int32_t tile_row_words = (p->output_width + 3) / 4 * (p->input_channels / 2);
    int32_t *products = (int32_t *)(scratch + THIMBLE_WINOGRAD_POSITIONS * p->tiles * (p->input_channels / 2));
    uint32_t *window = (uint32_t *)(products + p->tiles * 2 * THIMBLE_WINOGRAD_POSITIONS);
    int8_t *to = thimble_row(output, image * p->output_height + row);
    for (int32_t i = 0; i < rows; i += 4) {
        transform_tiles(p, functions, input, image, row + i, window, scratch + i / 4 * tile_row_words);
    }
    for (int32_t pair = 0; pair < p->output_channels; pair += 2) {
        const int32_t channel = pair + 2 > p->output_channels ? p->output_channels - 2 : pair;
        if (functions.products != 0) {
            functions.products(scratch, packed, products);
        } else {
            products_portable(p, scratch, packed, products);
        }
        packed += THIMBLE_WINOGRAD_POSITIONS * p->input_channels;
        finish_pair(p, functions, products, packed, to + channel, rows);
        packed += 8;
    }
}

void thimble_winograd_dsp(const thimble_winograd_dsp_params *params, thimble_winograd_functions functions,
                          const thimble_rows *input, const int32_t *packed, uint32_t *scratch,
                          const thimble_rows *output, int32_t first, int32_t end) {
    for (int32_t y = first; y < end;) {
        const int32_t image = y / params->output_height;
        const int32_t row = y - image * params->output_height;
        const int32_t left = params->output_height - row;
        const int32_t rows = left < 4 * params->tile_rows ? left : 4 * params->tile_rows;
        run_batch(params, functions, input, packed, scratch, output, image, row, rows);
        y += rows;
    }
}
