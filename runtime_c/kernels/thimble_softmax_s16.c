/* SPDX-License-Identifier: 0BSD */
#include "thimble_softmax_s16.h"

#include "thimble_common.h"

/* Interpolated entry of a table with 512 segments over [-2^15, 2^15). */
static int32_t look_up(const int16_t *table, int32_t x) {
    const int32_t limited = thimble_clamp(x, INT16_MIN, INT16_MAX);
    const int16_t *entry = table + ((limited >> 7) + 256);
    return entry[0] + (((entry[1] - entry[0]) * (limited & 0x7F) + 64) >> 7);
}

static int32_t row_max(const int16_t *row, int32_t depth) {
    int32_t max = row[0];
    for (int32_t i = 1; i < depth; i++) {
        max = row[i] > max ? row[i] : max;
    }
    return max;
}

void thimble_softmax_s16(const thimble_softmax_s16_params *params, const int16_t *input, const int16_t *exponentials,
                         const int16_t *reciprocals, int16_t *output) {
    const thimble_softmax_s16_params *p = params;
    for (int32_t n = 0; n < p->rows; n++) {
        const int32_t max = row_max(input, p->depth);
        uint32_t sum = 0;
        /* The output holds the exponentials until their sum is known. */
        for (int32_t i = 0; i < p->depth; i++) {
            const int32_t scaled = thimble_requantize(input[i] - max, p->multiplier, p->shift);
            const int32_t value = look_up(exponentials, thimble_add(scaled, INT16_MAX));
            output[i] = (int16_t)value;
            sum += (uint32_t)value;
        }
        int bits = 0;
        for (uint32_t rest = sum; rest != 0; rest >>= 1) {
            bits++;
        }
        const int32_t normalized = (int32_t)((((uint64_t)sum << (31 - bits)) + (1U << 13)) >> 14);
        const int32_t reciprocal = look_up(reciprocals, normalized - (1 << 15) - (1 << 16));
        for (int32_t i = 0; i < p->depth; i++) {
            const int64_t product = (int64_t)output[i] * reciprocal + ((int64_t)1 << (bits - 2));
            output[i] = (int16_t)thimble_clamp((int32_t)(product >> (bits - 1)), 0, INT16_MAX);
        }
        input += p->depth;
        output += p->depth;
    }
}
