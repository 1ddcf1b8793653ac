/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_REDUCE_PIXELS_SCALAR_H
#define THIMBLE_REDUCE_PIXELS_SCALAR_H

#include "thimble_reduce_pixels.h"

typedef thimble_reduce_pixels_params thimble_reduce_pixels_scalar_params;

/* As thimble_reduce_sum_s8 over all pixels of an image, each channel along a pointer.
 * input (pixels, channels), output (channels); the two must not overlap */
void thimble_reduce_pixels_scalar(const thimble_reduce_pixels_scalar_params *params, const int8_t *input,
                                  int8_t *output);

#endif
