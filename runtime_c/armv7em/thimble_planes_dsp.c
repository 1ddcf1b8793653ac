/* SPDX-License-Identifier: 0BSD */
#include "thimble_planes_dsp.h"

/* The same words of four channels' planes. */
typedef struct {
    uint32_t *first;
    uint32_t *second;
    uint32_t *third;
    uint32_t *fourth;
} four_planes;

/* Word `at` of four channels: pixels `a` and `b`, each with the bytes of these channels. */
static inline void put_pixels(four_planes to, int32_t at, uint32_t a, uint32_t b) {
    const uint32_t a_even = thimble_even_bytes(a);
    const uint32_t b_even = thimble_even_bytes(b);
    const uint32_t a_odd = thimble_odd_bytes(a);
    const uint32_t b_odd = thimble_odd_bytes(b);
    to.first[at] = thimble_low_lanes(a_even, b_even);
    to.second[at] = thimble_low_lanes(a_odd, b_odd);
    to.third[at] = thimble_high_lanes(a_even, b_even);
    to.fourth[at] = thimble_high_lanes(a_odd, b_odd);
}

/* Words [at, end) of four channels: two elements of a border each. */
static inline void put_borders(four_planes to, int32_t at, int32_t end, uint32_t border) {
    for (; at < end; at++) {
        to.first[at] = border;
        to.second[at] = border;
        to.third[at] = border;
        to.fourth[at] = border;
    }
}

/* One input row of four channels, the first of which lies at `row`, into their planes; a function of its own, so that
 * its loop has all registers. */
static __attribute__((noinline)) void fill_four(const thimble_planes_dsp_params *p, const int8_t *row, uint32_t *plane,
                                                int32_t plane_words) {
    const four_planes to = {plane, plane + plane_words, plane + 2 * plane_words, plane + 3 * plane_words};
    const uint32_t border = thimble_pair(p->input_zero_point, p->input_zero_point);
    const uint32_t border_pixel = ((uint32_t)p->input_zero_point & 0xFFu) * 0x01010101u;
    const int32_t step = p->channels;
    int32_t at = p->pad_left / 2;
    int32_t left = p->input_width;
    put_borders(to, 0, at, border);
    if (p->pad_left % 2 != 0) {
        put_pixels(to, at++, border_pixel, thimble_load_4(row));
        row += step;
        left--;
    }
    for (; left >= 2; left -= 2) {
        const uint32_t a = thimble_load_4(row);
        const uint32_t b = thimble_load_4(row + step);
        put_pixels(to, at++, a, b);
        row += 2 * step;
    }
    if (left > 0) {
        put_pixels(to, at++, thimble_load_4(row), border_pixel);
    }
    put_borders(to, at, p->row_words, border);
}

/* One input row of one channel, for layers with fewer than four. */
static void fill_one(const thimble_planes_dsp_params *p, const int8_t *row, uint32_t *plane) {
    for (int32_t at = 0; at < p->row_words; at++) {
        int32_t pair[2];
        for (int32_t i = 0; i < 2; i++) {
            const int32_t x = 2 * at + i - p->pad_left;
            pair[i] = x >= 0 && x < p->input_width ? row[x * p->channels] : p->input_zero_point;
        }
        plane[at] = thimble_pair(pair[0], pair[1]);
    }
}

/* A row of the planes: an input row, from the first of their channels on, or a border where `row` is null. */
static void fill_row(const thimble_planes_dsp_params *p, const int8_t *row, uint32_t *plane, int32_t plane_words) {
    if (row == 0) {
        const uint32_t border = thimble_pair(p->input_zero_point, p->input_zero_point);
        for (int32_t c = 0; c < p->channels_at_once; c++) {
            for (int32_t at = 0; at < p->row_words; at++) {
                plane[at] = border;
            }
            plane += plane_words;
        }
    } else if (p->channels_at_once < 4) {
        for (int32_t c = 0; c < p->channels_at_once; c++) {
            fill_one(p, row + c, plane + c * plane_words);
        }
    } else {
        for (int32_t c = 0; c < p->channels_at_once; c += 4) {
            const int32_t from =
                c + 4 > p->channels_at_once ? p->channels_at_once - 4 : c; /* the last four may overlap */
            fill_four(p, row + from, plane + from * plane_words, plane_words);
        }
    }
}

static inline void move_down(uint32_t *to, const uint32_t *from, int32_t words) {
    for (; words >= 4; words -= 4) {
        const uint32_t a = from[0];
        const uint32_t b = from[1];
        const uint32_t c = from[2];
        const uint32_t d = from[3];
        to[0] = a;
        to[1] = b;
        to[2] = c;
        to[3] = d;
        to += 4;
        from += 4;
    }
    for (; words > 0; words--) {
        *to++ = *from++;
    }
}

/* Moves the last `kept` rows that the planes hold, which begin at row `from`, to their start. */
static void keep_rows(const thimble_planes_dsp_params *p, uint32_t *planes, int32_t plane_words, int32_t from,
                      int32_t kept) {
    for (int32_t c = 0; c < p->channels_at_once && kept > 0; c++) {
        move_down(planes, planes + from * p->row_words, kept * p->row_words);
        planes += plane_words;
    }
}

/* Element x of a row of a plane. */
static int32_t element(const uint32_t *row, int32_t x) {
    return x % 2 == 0 ? thimble_low(row[x / 2]) : thimble_high(row[x / 2]);
}

/* Tap kx of a packed kernel row, whose word i holds taps i and i + 1. */
static int32_t tap(const int32_t *words, int32_t kernel_width, int32_t kx) {
    if (kx > 0 && kx == kernel_width - 1) {
        return thimble_high((uint32_t)words[kx - 1]);
    }
    return thimble_low((uint32_t)words[kx]);
}

/* The scaled sum of the window that begins at element `x` of a plane's row. */
static int32_t window_sum(const thimble_planes_dsp_params *p, const uint32_t *rows, int32_t x, const int32_t *weights) {
    const int32_t words = p->packed_width > 1 ? p->packed_width - 1 : 1;
    uint32_t sum = (uint32_t)weights[words * p->packed_height];
    for (int32_t ky = 0; ky < p->packed_height; ky++) {
        for (int32_t kx = 0; kx < p->packed_width; kx++) {
            const int32_t w = tap(weights + ky * words, p->packed_width, kx);
            sum += (uint32_t)(element(rows + ky * p->packed_pitch, x + kx) * w);
        }
    }
    return (int32_t)sum;
}

/* The portable twin of the generated functions, with the same bytes. */
static void planes_portable(const thimble_planes_dsp_params *params, const thimble_planes_job *job) {
    const thimble_planes_dsp_params *p = params;
    const int32_t words = p->packed_width > 1 ? p->packed_width - 1 : 1;
    const thimble_tail tail = {p->output_min != -128 || p->output_max != 127, job->ceiling, job->offset};
    for (int32_t c = 0; c < job->channels; c++) {
        const int32_t *packed = job->packed + c * p->channel_words;
        const int32_t *constants = packed + words * p->packed_height;
        const int32_t shift = p->total_shift >= 0 ? p->total_shift : constants[3];
        const uint32_t *rows = job->planes + c * (job->plane_bytes / 4);
        for (int8_t *const *output = job->outputs; output < job->outputs_end; output++) {
            for (int32_t x = 0; x < p->output_width; x++) {
                const int32_t sum = window_sum(p, rows, x * p->stride, packed);
                const int32_t tie = p->rounds_ties && sum < 0 ? 1 << (p->scale_bits - 1) : 0;
                const int32_t value = thimble_high_product(sum, constants[1]) + constants[2] - tie;
                (*output)[x * p->channels + c] = thimble_tail_byte(tail, value >> shift);
            }
            rows += p->stride * p->row_words;
        }
    }
}

/* Channels [channel, channel + channels_at_once) of output rows [first, end). */
static void make_channels(const thimble_planes_dsp_params *params, thimble_planes_function function,
                          const thimble_rows *input, const int32_t *packed, uint32_t *scratch,
                          const thimble_rows *output, int32_t first, int32_t end, int32_t channel) {
    const thimble_planes_dsp_params *p = params;
    const int32_t plane_words = ((p->rows_at_once - 1) * p->stride + p->kernel_height) * p->row_words;
    const uint32_t ceiling = (uint32_t)(255 - (p->output_max - p->output_min));
    const uint32_t offset = ((uint32_t)p->output_min - ceiling) & 0xFFu;
    int8_t *outputs[THIMBLE_MAX_PLANE_ROWS];
    thimble_planes_job job = {
        .planes = scratch,
        .packed = packed + channel * p->channel_words,
        .plane_bytes = 4 * plane_words,
        .outputs = outputs,
        .channels = p->channels_at_once,
        .ceiling = ceiling * 0x01010101u,
        .offset = offset * 0x01010101u,
    };
    int32_t done = 0; /* output rows of the image that the planes were filled for last */
    int32_t held = 0; /* rows that the planes hold */
    for (int32_t y = first; y < end; y += done) {
        const int32_t image = y / p->output_height;
        const int32_t row = y - image * p->output_height;
        const int32_t kept = row > 0 && held > done * p->stride ? held - done * p->stride : 0;
        keep_rows(p, scratch, plane_words, done * p->stride, kept);
        done = p->output_height - row < end - y ? p->output_height - row : end - y;
        done = done < p->rows_at_once ? done : p->rows_at_once;
        held = (done - 1) * p->stride + p->kernel_height;
        for (int32_t i = kept; i < held; i++) {
            const int32_t line = row * p->stride - p->pad_top + i;
            const int inside = line >= 0 && line < p->input_height;
            const int8_t *from =
                inside ? (const int8_t *)thimble_row(input, image * p->input_height + line) + channel : 0;
            fill_row(p, from, scratch + i * p->row_words, plane_words);
        }
        for (int32_t i = 0; i < done; i++) {
            outputs[i] = (int8_t *)thimble_row(output, y + i) + channel;
        }
        job.outputs_end = outputs + done;
        if (function != 0) {
            function(&job);
        } else {
            planes_portable(p, &job);
        }
    }
}

void thimble_planes_dsp(const thimble_planes_dsp_params *params, thimble_planes_function function,
                        const thimble_rows *input, const int32_t *packed, uint32_t *scratch, const thimble_rows *output,
                        int32_t first, int32_t end) {
    const int32_t last = params->channels - params->channels_at_once;
    for (int32_t channel = 0; channel < params->channels; channel += params->channels_at_once) {
        const int32_t from = channel < last ? channel : last; /* the last block may overlap the one before */
        make_channels(params, function, input, packed, scratch, output, first, end, from);
    }
}
