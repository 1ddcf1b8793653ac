/* SPDX-License-Identifier: 0BSD */
#ifndef THIMBLE_FILL_LANES_DSP_H
#define THIMBLE_FILL_LANES_DSP_H

#include "thimble_planes_dsp.h"

/* The input rows that a job names, of channels [from, end), into the last lanes of its planes: for any machine, and for
 * layers of less than four channels. */
void thimble_fill_lanes_dsp(const thimble_planes_dsp_params *params, const thimble_planes_job *job, int32_t from,
                            int32_t end);

#endif
