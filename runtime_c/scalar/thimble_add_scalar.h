/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_ADD_SCALAR_H
#define THIMBLE_ADD_SCALAR_H

#include <stdint.h>

/* Output limits in [-128, 127]. */
typedef struct {
    int32_t count; /* elements */
    int32_t a;
    int32_t b;
    int32_t c;
    int32_t shift;
    int32_t output_min;
    int32_t output_max;
} thimble_add_scalar_params;

/* Element-wise (a * x + b * y + c) >> shift, limited; no sum leaves 32 bits. input1, input2, output (count); the output
 * may lie over an operand that begins no earlier. */
void thimble_add_scalar(const thimble_add_scalar_params *params, const int8_t *input1, const int8_t *input2,
                        int8_t *output);

#endif
