/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_HAS_OUTLIERS_S8_H
#define THIMBLE_HAS_OUTLIERS_S8_H

#include <stdint.h>

typedef struct {
    int32_t count; /* elements of the input */
    int32_t low;   /* the least and the greatest value that is no outlier; low may be the greater of the two: */
    int32_t high;  /* then every element is an outlier */
} thimble_has_outliers_s8_params;

/* Writes 1 to *output if any of `count` elements lies outside of [low, high], else 0. It looks at all of them, so that
 * its time does not depend on what they are. The output must not lie in the input. */
void thimble_has_outliers_s8(const thimble_has_outliers_s8_params *params, const int8_t *input, uint8_t *output);

#endif
