/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_SELECT_H
#define THIMBLE_SELECT_H

#include <stdint.h>

typedef struct {
    int32_t bytes; /* of each tensor, the condition apart */
} thimble_select_params;

/* Copies `on_true` if the one element of the condition is not 0, else `on_false`. The other tensor is not read: it may
 * hold anything. The output may lie over both tensors in any way, but not over the condition. */
void thimble_select(const thimble_select_params *params, const uint8_t *condition, const void *on_true,
                    const void *on_false, void *output);

#endif
