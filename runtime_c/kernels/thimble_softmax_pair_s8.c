/* SPDX-License-Identifier: 0BSD */
#include "thimble_softmax_pair_s8.h"

void thimble_softmax_pair_s8(const thimble_softmax_pair_s8_params *params, const int8_t *input, const int8_t *outputs,
                             int8_t *output) {
    for (int32_t n = 0; n < params->rows; n++) {
        const int32_t apart = input[0] - input[1];
        const int8_t *pair = outputs + 2 * (apart < 0 ? -apart : apart);
        output[0] = pair[apart < 0];
        output[1] = pair[apart >= 0];
        input += 2;
        output += 2;
    }
}
