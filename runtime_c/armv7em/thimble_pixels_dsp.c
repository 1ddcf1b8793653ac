/* SPDX-License-Identifier: 0BSD */
#include "thimble_pixels_dsp.h"

#include "thimble_late.h"

/* The place of the border in flash. Machines with longer addresses need not reach it by 32 bits: there it is a mark. */
#define THIMBLE_BORDER_MARK INT32_MIN

/* How far behind `base` a pixel lies: both are in the same memory, so that 32 bits are enough on any machine. */
static inline int32_t distance(const int8_t *pixel, const int8_t *base) {
    return (int32_t)((intptr_t)pixel - (intptr_t)base);
}

static inline int8_t *at_distance(int8_t *base, int32_t bytes) {
    return (int8_t *)((intptr_t)base + bytes);
}

/* The input rows under the windows of one output row; null where they lie outside of the input. */
static const int8_t *input_line(const thimble_pixels_dsp_params *p, const thimble_rows *input, int32_t y, int32_t ky) {
    const int32_t line = thimble_window_top(p->window, y) + ky;
    const int inside = line >= 0 && line < p->window.input_height;
    return inside ? (const int8_t *)thimble_row(input, thimble_image(p->window, y) + line) : 0;
}

/* Notes the places of output pixels [x, x + count) of row y; the next free place. */
static int32_t *note_pixels(const thimble_pixels_dsp_params *p, const thimble_rows *input, const int8_t *base,
                            int32_t border, int8_t *output, int32_t y, int32_t x, int32_t count, int32_t *places) {
    const int32_t taps = p->window.kernel_height * p->window.kernel_width;
    const int32_t pitch = 3 * p->groups + 1;
    for (int32_t ky = 0; ky < p->window.kernel_height; ky++) {
        const int8_t *line = input_line(p, input, y, ky);
        const int32_t start = line != 0 ? distance(line, base) : 0;
        int32_t *to = places + ky * p->window.kernel_width;
        int32_t left = thimble_window_left(p->window, x);
        for (int32_t i = 0; i < count; i++) {
            const int all_inside = line != 0 && left >= 0 && left <= p->window.input_width - p->window.kernel_width;
            int32_t place = start + left * p->channels;
            for (int32_t kx = 0; all_inside && kx < p->window.kernel_width; kx++) {
                to[kx] = place;
                place += p->channels;
            }
            for (int32_t kx = 0; !all_inside && kx < p->window.kernel_width; kx++) {
                const int inside = line != 0 && left + kx >= 0 && left + kx < p->window.input_width;
                to[kx] = inside ? start + (left + kx) * p->channels : border;
            }
            to += pitch;
            left += p->window.stride_width;
        }
    }
    for (int32_t i = 0; i < count; i++) {
        for (int32_t tap = taps; tap < pitch - 1; tap++) {
            places[tap] = border;
        }
        places[pitch - 1] = distance(output + (x + i) * p->channels, base);
        places += pitch;
    }
    return places;
}

#if !defined(__ARM_FEATURE_DSP)

/* One channel of an output pixel: `packed` begins at its bias, `lane` is its number among four. */
static int8_t pixel_byte(const thimble_pixels_dsp_params *p, const thimble_pixels_job *job, const int32_t *places,
                         int32_t channel, const int32_t *packed, int32_t lane) {
    const int32_t taps = 3 * p->groups;
    const int32_t *constants = packed + 4 + 2 * taps;
    const int32_t shift = p->total_shift >= 0 ? p->total_shift : constants[8 + lane];
    const thimble_tail tail = {p->output_min != -128 || p->output_max != 127, job->ceiling, job->offset};
    uint32_t sum = (uint32_t)packed[lane];
    for (int32_t tap = 0; tap < taps; tap++) {
        const uint32_t word = (uint32_t)packed[4 + 2 * tap + lane % 2];
        const int32_t weight = lane < 2 ? thimble_low(word) : thimble_high(word);
        const int is_border = places[tap] == THIMBLE_BORDER_MARK;
        const int32_t x = is_border ? p->input_zero_point : at_distance(job->base, places[tap])[channel];
        sum += (uint32_t)(x * weight);
    }
    const int32_t tie = p->rounds_ties && (int32_t)sum < 0 ? 1 << (p->scale_bits - 1) : 0;
    const int32_t value = thimble_high_product((int32_t)sum, constants[2 * lane]) + constants[2 * lane + 1] - tie;
    return thimble_tail_byte(tail, value >> shift);
}

/* The portable twin of the generated functions, with the same bytes. */
static void pixels_portable(const thimble_pixels_dsp_params *params, const thimble_pixels_job *job) {
    const thimble_pixels_dsp_params *p = params;
    const int32_t pitch = 3 * p->groups + 1;
    const int32_t *packed = job->packed;
    for (int32_t c = 0; c < job->channels; c += 4) {
        const int32_t first = c + 4 > job->channels ? job->channels - 4 : c;
        for (const int32_t *places = job->places; places < job->places_end; places += pitch) {
            int8_t *output = at_distance(job->base, places[pitch - 1]) + first;
            for (int32_t lane = 0; lane < 4; lane++) {
                output[lane] = pixel_byte(p, job, places, first + lane, packed, lane);
            }
        }
        packed += p->quad_words;
    }
}

#endif

/* What is the same for all pixels of a call. */
static thimble_pixels_job begin_job(const thimble_pixels_dsp_params *p, const int32_t *packed, const int32_t *places,
                                    int8_t *base) {
    const uint32_t ceiling = (uint32_t)(255 - (p->output_max - p->output_min));
    const uint32_t offset = ((uint32_t)p->output_min - ceiling) & 0xFFu;
    const thimble_pixels_job job = {
        .places = places,
        .packed = packed,
        .quad_bytes = 4 * p->quad_words,
        .base = base,
        .channels = p->channels,
        .ceiling = ceiling * 0x01010101u,
        .offset = offset * 0x01010101u,
    };
    return job;
}

/* All channels of the pixels whose places are noted. */
static inline void make(const thimble_pixels_dsp_params *p, thimble_pixels_function function,
                        const thimble_pixels_job *job) {
#if defined(__ARM_FEATURE_DSP)
    (void)p;
    function(job);
#else
    (void)function;
    pixels_portable(p, job);
#endif
}

void thimble_pixels_dsp(const thimble_pixels_dsp_params *params, thimble_pixels_function function,
                        const thimble_rows *input, const int32_t *packed, int32_t *scratch, const thimble_rows *output,
                        int32_t first, int32_t end) {
    const thimble_pixels_dsp_params *p = params;
    int8_t *base = (int8_t *)scratch;
    const int32_t border = 4 * p->pixels_at_once * (3 * p->groups + 1);
    thimble_pixels_job job = begin_job(p, packed, scratch, base);
    for (int32_t c = 0; c < p->channels; c++) {
        base[border + c] = (int8_t)p->input_zero_point;
    }
    int32_t *places = scratch;
    int32_t room = p->pixels_at_once;
    for (int32_t y = first; y < end; y++) {
        for (int32_t x = 0; x < p->window.output_width;) {
            const int32_t rest = p->window.output_width - x;
            const int32_t count = rest < room ? rest : room;
            places = note_pixels(p, input, base, border, thimble_row(output, y), y, x, count, places);
            x += count;
            room -= count;
            if (room == 0 || (y + 1 == end && x == p->window.output_width)) {
                job.places_end = places;
                make(p, function, &job);
                places = scratch;
                room = p->pixels_at_once;
            }
        }
    }
}

/* Moves the places of a pixel, all of them inside of the input, on to the next pixel of its row. */
static void move_on(const thimble_pixels_dsp_params *p, int32_t *places) {
    const int32_t bytes = p->window.stride_width * p->channels;
    int32_t *taps_end = places + p->window.kernel_height * p->window.kernel_width;
    for (int32_t *place = places; place < taps_end; place++) {
        *place += bytes;
    }
    places[3 * p->groups] += p->channels;
}

void thimble_pixels_in_place_dsp(const thimble_pixels_dsp_params *params, thimble_pixels_function function,
                                 const thimble_rows *input, const int32_t *packed, int32_t *places, uint8_t *late,
                                 const thimble_rows *output, int32_t first, int32_t end) {
    const thimble_pixels_dsp_params *p = params;
    const int32_t last_inside = p->window.input_width - p->window.kernel_width;
    int8_t *base = thimble_row(output, first);
#if defined(__ARM_FEATURE_DSP)
    const int32_t border = distance((const int8_t *)(packed + p->border_at), base);
#else
    const int32_t border = THIMBLE_BORDER_MARK;
#endif
    thimble_pixels_job job = begin_job(p, packed, places, base);
    job.places_end = places + 3 * p->groups + 1;
    for (int32_t y = first; y < end; y++) {
        const int32_t top = thimble_window_top(p->window, y);
        const int rows_inside = top >= 0 && top <= p->window.input_height - p->window.kernel_height;
        int8_t *row = thimble_row(output, y);
        int32_t left = -p->window.pad_left;
        int noted = 0; /* whether places are those of the pixel before, inside of the input */
        for (int32_t x = 0; x < p->window.output_width; x++) {
            const int inside = rows_inside && left >= 0 && left <= last_inside;
            if (inside && noted) {
                move_on(p, places);
            } else {
                note_pixels(p, input, base, border, row, y, x, 1, places);
            }
            noted = inside;
            if (late != 0) {
                places[3 * p->groups] = distance(thimble_late_pixel(late, x, p->channels), base);
            }
            make(p, function, &job);
            if (late != 0) {
                thimble_late_write(row, late, x, p->channels);
            }
            left += p->window.stride_width;
        }
        if (late != 0) {
            thimble_late_write(row, late, p->window.output_width, p->channels);
        }
    }
}
