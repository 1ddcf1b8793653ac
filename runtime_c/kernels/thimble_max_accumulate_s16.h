/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_MAX_ACCUMULATE_S16_H
#define THIMBLE_MAX_ACCUMULATE_S16_H

#include "thimble_accumulate.h"

typedef thimble_accumulate_params thimble_max_accumulate_s16_params;

/* Maximum over all pixels of an image.
 * input (input_height, input_width, channels), of which the call takes rows [first, end): the first call begins with
 *     row 0, and the call that takes the last row writes the output
 * maxima (channels), kept from call to call
 * output (channels); may lie over the last input row, but not over maxima */
void thimble_max_accumulate_s16(const thimble_max_accumulate_s16_params *params, const thimble_rows *input,
                                int16_t *maxima, int16_t *output, int32_t first, int32_t end);

#endif
