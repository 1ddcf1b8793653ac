/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_REDUCE_PIXELS_MVE_H
#define THIMBLE_REDUCE_PIXELS_MVE_H

#include "thimble_reduce_pixels.h"

typedef thimble_reduce_pixels_params thimble_reduce_pixels_mve_params;

/* As thimble_reduce_sum_s8 over all pixels of an image, eight channels at a time.
 * input (pixels, channels), output (channels); the two must not overlap */
void thimble_reduce_pixels_mve(const thimble_reduce_pixels_mve_params *params, const int8_t *input, int8_t *output);

#endif
