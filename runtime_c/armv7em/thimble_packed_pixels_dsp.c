/* SPDX-License-Identifier: 0BSD */
#include "thimble_packed_pixels_dsp.h"

#include "thimble_packed.h"

thimble_packed_pixels thimble_packed_pixels_open(const thimble_packed_pixels_params *params, const thimble_rows *input,
                                                 const thimble_rows *output, void *scratch) {
    const thimble_packed_pixels_params *p = params;
    thimble_packed_pixels pixels = {p, input->base, output->base, *input, *output};
    uint8_t *free = scratch;
    if (p->input_bits < 8) {
        pixels.input.base = free;
        free += (p->at_once * p->input_channels + 3) / 4 * 4;
    }
    if (p->output_bits < 8) {
        pixels.output.base = free;
    }
    return pixels;
}

void thimble_packed_pixels_fetch(const thimble_packed_pixels *pixels, int32_t count) {
    const thimble_packed_pixels_params *p = pixels->p;
    if (p->input_bits < 8) {
        thimble_unpack_pixels_dsp(pixels->packed_input, (int8_t *)pixels->input.base, count, p->input_channels,
                                  p->input_bits);
    }
}

void thimble_packed_pixels_store(thimble_packed_pixels *pixels, int32_t count) {
    const thimble_packed_pixels_params *p = pixels->p;
    if (p->input_bits < 8) {
        pixels->packed_input += count * thimble_packed_bytes(p->input_channels, p->input_bits);
    } else {
        pixels->input.base += count * p->input_channels;
    }
    if (p->output_bits < 8) {
        thimble_pack_pixels_dsp((const int8_t *)pixels->output.base, pixels->packed_output, count, p->output_channels,
                                p->output_bits);
        pixels->packed_output += count * thimble_packed_bytes(p->output_channels, p->output_bits);
    } else {
        pixels->output.base += count * p->output_channels;
    }
}
