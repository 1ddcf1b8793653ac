/* SPDX-License-Identifier: 0BSD */
#include "thimble_copy_strided.h"

#include <string.h>

enum { INNERMOST = 5 };

/* The runs along the innermost dimension, from byte offsets `from` and `to` on. */
static void copy_line(const thimble_copy_strided_params *p, const uint8_t *source, uint8_t *destination, int32_t from,
                      int32_t to) {
    const int32_t size = p->sizes[INNERMOST];
    const int32_t from_step = p->source_steps[INNERMOST];
    const int32_t to_step = p->destination_steps[INNERMOST];
    if (p->run_bytes == 1) {
        for (int32_t i = 0; i < size; i++) {
            destination[to + i * to_step] = source[from + i * from_step];
        }
    } else {
        for (int32_t i = 0; i < size; i++) {
            memcpy(destination + to + i * to_step, source + from + i * from_step, (size_t)p->run_bytes);
        }
    }
}

void thimble_copy_strided(const thimble_copy_strided_params *params, const void *source, void *destination) {
    const thimble_copy_strided_params *p = params;
    int32_t index[INNERMOST] = {0};
    int32_t from = p->source_offset;
    int32_t to = p->destination_offset;
    int axis = 0;
    while (axis >= 0) {
        copy_line(p, (const uint8_t *)source, (uint8_t *)destination, from, to);
        /* Like an odometer: step the innermost of the outer dimensions that is not at its end, rewind those inside it.
         */
        for (axis = INNERMOST - 1; axis >= 0; axis--) {
            from += p->source_steps[axis];
            to += p->destination_steps[axis];
            if (++index[axis] < p->sizes[axis]) {
                break;
            }
            from -= p->source_steps[axis] * p->sizes[axis];
            to -= p->destination_steps[axis] * p->sizes[axis];
            index[axis] = 0;
        }
    }
}
