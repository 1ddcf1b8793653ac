/* SPDX-License-Identifier: 0BSD */
#include "thimble_planes_dsp.h"

/* Words [at, end) of all four lanes: borders. */
static void put_borders(uint32_t *planes, int32_t at, int32_t end, uint32_t border) {
    for (uint32_t *to = planes + THIMBLE_PLANE_LANES * at; to < planes + THIMBLE_PLANE_LANES * end; to += 4) {
        to[0] = border;
        to[1] = border;
        to[2] = border;
        to[3] = border;
    }
}

/* Borders of planes of `held` rows, of which [begin, end) are inside of the image. Pixels do not lie over them, so that
 * they serve all channels. */
static void frame_planes(const thimble_planes_dsp_params *p, uint32_t *planes, int32_t begin, int32_t end,
                         int32_t held) {
    const uint32_t border = thimble_pair(p->input_zero_point, p->input_zero_point);
    const int32_t behind = (p->pad_left + p->input_width + 1) / 2;
    put_borders(planes, 0, begin * p->row_words, border);
    put_borders(planes, end * p->row_words, held * p->row_words, border);
    for (int32_t y = begin; y < end; y++) {
        put_borders(planes, y * p->row_words, y * p->row_words + p->pad_left / 2, border);
        put_borders(planes, y * p->row_words + behind, (y + 1) * p->row_words, border);
    }
}

/* Element x of a lane of a plane's row. */
static inline void put_element(uint32_t *row, int32_t x, int32_t value) {
    uint32_t *word = row + THIMBLE_PLANE_LANES * (x / 2);
    *word = x % 2 == 0 ? thimble_pair(value, thimble_high(*word)) : thimble_pair(thimble_low(*word), value);
}

static inline int32_t element(const uint32_t *row, int32_t x) {
    const uint32_t word = row[THIMBLE_PLANE_LANES * (x / 2)];
    return x % 2 == 0 ? thimble_low(word) : thimble_high(word);
}

/* Input rows of channels [from, end), from `inputs` to `inputs_end`, into the planes' last lanes. */
static void fill_lanes(const thimble_planes_dsp_params *p, const thimble_planes_job *job, const int8_t *const *inputs,
                       int32_t from, int32_t end) {
    uint32_t *row = job->to - THIMBLE_PLANE_LANES * (p->pad_left / 2) + THIMBLE_PLANE_LANES - (end - from);
    for (; inputs < job->inputs_end; inputs++) {
        for (int32_t c = from; c < end; c++) {
            if (p->pad_left % 2 != 0) {
                put_element(row + c - from, p->pad_left - 1, p->input_zero_point);
            }
            for (int32_t x = 0; x < p->input_width; x++) {
                put_element(row + c - from, p->pad_left + x, (*inputs)[x * p->channels + c]);
            }
            if ((p->pad_left + p->input_width) % 2 != 0) {
                put_element(row + c - from, p->pad_left + p->input_width, p->input_zero_point);
            }
        }
        row += THIMBLE_PLANE_LANES * p->row_words;
    }
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
            sum += (uint32_t)(element(rows + THIMBLE_PLANE_LANES * ky * p->packed_pitch, x + kx) * w);
        }
    }
    return (int32_t)sum;
}

/* A channel of the output rows, from its lane of the planes. */
static void make_channel(const thimble_planes_dsp_params *p, const thimble_planes_job *job, const uint32_t *rows,
                         int32_t channel) {
    const int32_t words = p->packed_width > 1 ? p->packed_width - 1 : 1;
    const thimble_tail tail = {p->output_min != -128 || p->output_max != 127, job->ceiling, job->offset};
    const int32_t *packed = job->packed + channel * p->channel_words;
    const int32_t *constants = packed + words * p->packed_height;
    const int32_t shift = p->total_shift >= 0 ? p->total_shift : constants[3];
    for (int8_t *const *output = job->outputs; output < job->outputs_end; output++) {
        for (int32_t x = 0; x < p->output_width; x++) {
            const int32_t sum = window_sum(p, rows, x * p->stride_width, packed);
            const int32_t tie = p->rounds_ties && sum < 0 ? 1 << (p->scale_bits - 1) : 0;
            const int32_t value = thimble_high_product(sum, constants[1]) + constants[2] - tie;
            (*output)[x * p->channels + channel] = thimble_tail_byte(tail, value >> shift);
        }
        rows += THIMBLE_PLANE_LANES * p->stride_height * p->row_words;
    }
}

/* The portable twin of the generated functions, with the same bytes. */
static void planes_portable(const thimble_planes_dsp_params *p, const thimble_planes_job *job) {
    for (int32_t c = 0; c < p->channels; c += THIMBLE_PLANE_LANES) {
        const int32_t end = c + THIMBLE_PLANE_LANES < p->channels ? c + THIMBLE_PLANE_LANES : p->channels;
        fill_lanes(p, job, job->inputs, c, end);
        for (int32_t channel = c; channel < end; channel++) {
            make_channel(p, job, job->planes + THIMBLE_PLANE_LANES - (end - channel), channel);
        }
    }
}

/* What is the same for all output rows. */
static thimble_planes_job start_job(const thimble_planes_dsp_params *p, const int32_t *packed, uint32_t *scratch) {
    const uint32_t ceiling = (uint32_t)(255 - (p->output_max - p->output_min));
    const uint32_t offset = ((uint32_t)p->output_min - ceiling) & 0xFFu;
    const int32_t leads = p->pad_left % 2;
    const int32_t pixels = p->input_width - leads;
    thimble_planes_job job = {
        .planes = scratch,
        .packed = packed,
        .channels = p->channels,
        .ceiling = ceiling * 0x01010101u,
        .offset = offset * 0x01010101u,
        .pixel_bytes = p->channels,
        .border = ((uint32_t)p->input_zero_point & 0xFFu) * 0x01010101u,
        .leads = leads,
        .fours_bytes = pixels / 4 * 4 * p->channels,
        .twos = pixels / 2 % 2,
        .ones = pixels % 2,
        .next_bytes = 4 * THIMBLE_PLANE_LANES * (p->row_words - leads - (pixels + 1) / 2),
    };
    return job;
}

void thimble_planes_dsp(const thimble_planes_dsp_params *params, thimble_planes_function function,
                        const thimble_rows *input, const int32_t *packed, uint32_t *scratch, const thimble_rows *output,
                        int32_t first, int32_t end) {
    const thimble_planes_dsp_params *p = params;
    int8_t *outputs[THIMBLE_MAX_OUTPUT_ROWS];
    const int8_t *inputs[THIMBLE_MAX_PLANE_ROWS];
    thimble_planes_job job = start_job(p, packed, scratch);
    job.outputs = outputs;
    for (int32_t y = first; y < end;) {
        const int32_t image = y / p->output_height;
        const int32_t row = y - image * p->output_height;
        const int32_t rest = p->output_height - row < end - y ? p->output_height - row : end - y;
        const int32_t rows = rest < p->rows_at_once ? rest : p->rows_at_once;
        const int32_t held = (rows - 1) * p->stride_height + p->kernel_height;
        const int32_t top = row * p->stride_height - p->pad_top;
        const int32_t begin = top < 0 ? (-top < held ? -top : held) : 0;
        const int32_t inside = p->input_height - top < held ? p->input_height - top : held;
        const int32_t inside_end = inside > begin ? inside : begin;
        frame_planes(p, scratch, begin, inside_end, held);
        for (int32_t i = begin; i < inside_end; i++) {
            inputs[i - begin] = thimble_row(input, image * p->input_height + top + i);
        }
        for (int32_t i = 0; i < rows; i++) {
            outputs[i] = thimble_row(output, y + i);
        }
        job.outputs_end = outputs + rows;
        job.inputs = inputs;
        job.inputs_end = inputs + (inside_end - begin);
        job.to = scratch + THIMBLE_PLANE_LANES * (begin * p->row_words + p->pad_left / 2);
        if (function == 0) {
            planes_portable(p, &job);
        } else {
            if (p->channels < THIMBLE_PLANE_LANES) { /* the assembly reads four channels at a time */
                fill_lanes(p, &job, job.inputs, 0, p->channels);
                job.inputs = job.inputs_end;
            }
            function(&job);
        }
        y += rows;
    }
}
