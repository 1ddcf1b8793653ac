/* SPDX-License-Identifier: 0BSD */
#include "thimble_select.h"

#include <string.h>

void thimble_select(const thimble_select_params *params, const uint8_t *condition, const void *on_true,
                    const void *on_false, void *output) {
    const void *const chosen = *condition != 0u ? on_true : on_false;
    if (chosen != output) {
        memmove(output, chosen, (size_t)params->bytes);
    }
}
