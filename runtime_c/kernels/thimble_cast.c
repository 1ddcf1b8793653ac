/* SPDX-License-Identifier: 0BSD */
#include "thimble_cast.h"

static int32_t load_integer(const void *input, int32_t type, int32_t index) {
    switch (type) {
    case THIMBLE_CAST_S8:
        return ((const int8_t *)input)[index];
    case THIMBLE_CAST_S16:
        return ((const int16_t *)input)[index];
    case THIMBLE_CAST_S32:
        return ((const int32_t *)input)[index];
    default:
        return ((const uint8_t *)input)[index];
    }
}

/* The low bits of `value`; for a bool, whether any bit is set. */
static void store_integer(void *output, int32_t type, int32_t index, int32_t value) {
    switch (type) {
    case THIMBLE_CAST_S8:
        ((int8_t *)output)[index] = (int8_t)value;
        break;
    case THIMBLE_CAST_S16:
        ((int16_t *)output)[index] = (int16_t)value;
        break;
    case THIMBLE_CAST_S32:
        ((int32_t *)output)[index] = value;
        break;
    default:
        ((uint8_t *)output)[index] = value != 0 ? 1 : 0;
        break;
    }
}

/* x cut towards zero and limited to `bits` bits. */
static int32_t saturate(float x, int bits) {
    const float limit = (float)((int64_t)1 << (bits - 1));
    if (x >= limit) {
        return (int32_t)(((int64_t)1 << (bits - 1)) - 1);
    }
    if (x <= -limit) {
        return (int32_t)(-((int64_t)1 << (bits - 1)));
    }
    return x != x ? 0 : (int32_t)x;
}

static int32_t integer_of(float x, int32_t type) {
    switch (type) {
    case THIMBLE_CAST_S8:
        return saturate(x, 8);
    case THIMBLE_CAST_S16:
        return saturate(x, 16);
    case THIMBLE_CAST_S32:
        return saturate(x, 32);
    default:
        return x != 0.0f ? 1 : 0;
    }
}

void thimble_cast(const thimble_cast_params *params, const void *input, void *output) {
    const thimble_cast_params *p = params;
    for (int32_t i = 0; i < p->count; i++) {
        if (p->input_type != THIMBLE_CAST_F32) {
            const int32_t value = load_integer(input, p->input_type, i);
            if (p->output_type == THIMBLE_CAST_F32) {
                ((float *)output)[i] = (float)value;
            } else {
                store_integer(output, p->output_type, i, value);
            }
        } else if (p->output_type == THIMBLE_CAST_F32) {
            ((float *)output)[i] = ((const float *)input)[i];
        } else {
            store_integer(output, p->output_type, i, integer_of(((const float *)input)[i], p->output_type));
        }
    }
}
