/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_LOOKUP_S8_H
#define THIMBLE_LOOKUP_S8_H

#include <stdint.h>

typedef struct {
    int32_t size;
} thimble_lookup_s8_params;

/* Any function of one int8 value.
 * input, output (size); may be the same memory
 * table (256): results of -128, -127, ..., 127 */
void thimble_lookup_s8(const thimble_lookup_s8_params *params, const int8_t *input, const int8_t *table,
                       int8_t *output);

#endif
