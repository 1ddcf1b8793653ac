/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_FILL_H
#define THIMBLE_FILL_H

#include <stdint.h>

typedef struct {
    int32_t elements;
    int32_t element_bytes; /* 1 to 8 */
    uint8_t pattern[8];    /* the bytes of one element in memory order */
} thimble_fill_params;

/* Sets every element of the output to one value. */
void thimble_fill(const thimble_fill_params *params, void *output);

#endif
