/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_WINDOW_LATE_VECTORS_DSP_H
#define THIMBLE_WINDOW_LATE_VECTORS_DSP_H

#include "thimble_window_vectors_dsp.h"

/* The same as thimble_window_vectors_dsp, but that each pixel of an output row is written only when the next one is
 * made.
 * pixels (2, output_channels) */
void thimble_window_late_vectors_dsp(const thimble_window_vectors_dsp_params *params,
                                     thimble_window_vectors_function function, const thimble_rows *input,
                                     const int32_t *packed, uint8_t *pixels, const thimble_rows *output, int32_t first,
                                     int32_t end);

#endif
