/* SPDX-License-Identifier: 0BSD */
#include "thimble_planes_dsp.h"

#include "thimble_fill_lanes_dsp.h"
#if !defined(__ARM_FEATURE_DSP)
#include "thimble_packed.h"
#endif

/* Words of all four lanes from `to` to `end`: borders. */
static inline void put_borders(uint32_t *to, const uint32_t *end, uint32_t border) {
    for (; to < end; to += THIMBLE_PLANE_LANES) {
        to[0] = border;
        to[1] = border;
        to[2] = border;
        to[3] = border;
    }
}

void thimble_frame_planes_dsp(const thimble_planes_dsp_params *params, uint32_t *planes, int32_t begin, int32_t end,
                              int32_t held) {
    const thimble_planes_dsp_params *p = params;
    const uint32_t border = thimble_pair(p->input_zero_point, p->input_zero_point);
    const int32_t row_words = THIMBLE_PLANE_LANES * p->row_words;
    const int32_t before = THIMBLE_PLANE_LANES * ((p->window.pad_left + 1) / 2);
    const int32_t behind = THIMBLE_PLANE_LANES * ((p->window.pad_left + p->window.input_width) / 2);
    uint32_t *to = planes; /* behind the last pixels */
    for (uint32_t *row = planes + begin * row_words; row < planes + end * row_words; row += row_words) {
        put_borders(to, row + before, border);
        to = row + behind;
    }
    put_borders(to, planes + held * row_words, border);
}

#if !defined(__ARM_FEATURE_DSP)

/* Element x of a lane of a plane's row. */
static inline int32_t element(const uint32_t *row, int32_t x) {
    const uint32_t word = row[THIMBLE_PLANE_LANES * (x / 2)];
    return x % 2 == 0 ? thimble_low(word) : thimble_high(word);
}

/* A channel's constants. */
typedef struct {
    int32_t bias;
    int32_t multiplier;
    int32_t addend;
    int32_t shift;
} channel_constants;

static channel_constants load_constants(const thimble_planes_dsp_params *p, const int32_t *packed) {
    const int32_t *at = packed + p->constants_at;
    if (p->no_addend) {
        const channel_constants read = {at[0], at[1], 0, p->total_shift};
        return read;
    }
    if (p->tap_row_bytes == 0) {
        const channel_constants read = {at[0], at[1], at[2], p->total_shift >= 0 ? p->total_shift : at[3]};
        return read;
    }
    const int32_t special = ((const uint8_t *)packed)[p->special_at];
    const int32_t addend = p->total_shift >= 0 ? p->common_addend + (1 << (special - 2))
                                               : p->common_addend * (1 << special) + (1 << (p->scale_bits - 2));
    const channel_constants made = {at[0], at[1], addend, p->total_shift >= 0 ? p->total_shift : special + 1};
    return made;
}

/* Scaled tap (ky, kx) of the packed kernel: a byte, some bits of one, or word i of a kernel row holds taps i and i + 1.
 */
static int32_t tap(const thimble_planes_dsp_params *p, const int32_t *packed, int32_t ky, int32_t kx) {
    if (p->tap_row_bytes != 0) {
        const uint8_t *bytes = (const uint8_t *)packed;
        const int32_t bits = p->total_shift >= 0 ? bytes[p->special_at] : p->scale_bits;
        return thimble_packed_get(bytes + ky * p->tap_row_bytes, kx, p->weight_bits) * (1 << bits);
    }
    const int32_t last = p->packed_width > 1 ? p->packed_width - 2 : 0;
    const uint32_t word = (uint32_t)packed[ky * (last + 1) + (kx <= last ? kx : last)];
    return kx <= last ? thimble_low(word) : thimble_high(word);
}

/* The scaled sum of the window that begins at element `x` of a plane's row. */
static int32_t window_sum(const thimble_planes_dsp_params *p, const uint32_t *rows, int32_t x, const int32_t *packed,
                          int32_t bias) {
    uint32_t sum = (uint32_t)bias;
    for (int32_t ky = 0; ky < p->packed_height; ky++) {
        for (int32_t kx = 0; kx < p->packed_width; kx++) {
            const int32_t value = element(rows + THIMBLE_PLANE_LANES * ky * p->packed_pitch, x + kx);
            sum += (uint32_t)(value * tap(p, packed, ky, kx));
        }
    }
    return (int32_t)sum;
}

/* A channel of the output rows, from its lane of the planes. */
static void make_channel(const thimble_planes_dsp_params *p, const thimble_planes_job *job, const uint32_t *rows,
                         int32_t channel) {
    const thimble_tail tail = {p->output_min != -128 || p->output_max != 127, job->ceiling, job->offset};
    const int32_t *packed = job->packed + channel * p->channel_words;
    const channel_constants constants = load_constants(p, packed);
    const int32_t step = p->turned ? p->window.output_height * p->channels : p->channels;
    for (int8_t *const *output = job->outputs; output < job->outputs_end; output++) {
        for (int32_t x = 0; x < p->window.output_width; x++) {
            const int32_t sum = window_sum(p, rows, x * p->window.stride_width, packed, constants.bias);
            const int32_t tie = p->rounds_ties && sum < 0 ? 1 << (p->scale_bits - 1) : 0;
            const int32_t value = thimble_high_product(sum, constants.multiplier) + constants.addend - tie;
            (*output)[x * step + channel] = thimble_tail_byte(tail, value >> constants.shift);
        }
        rows += THIMBLE_PLANE_LANES * p->window.stride_height * p->row_words;
    }
}

void thimble_planes_portable(const thimble_planes_dsp_params *params, const thimble_planes_job *job) {
    const thimble_planes_dsp_params *p = params;
    for (int32_t c = 0; c < job->channels; c += THIMBLE_PLANE_LANES) {
        const int32_t end = c + THIMBLE_PLANE_LANES < job->channels ? c + THIMBLE_PLANE_LANES : job->channels;
        const uint32_t *lanes = job->planes + THIMBLE_PLANE_LANES - (end - c);
        if (job->quad_bytes != 0) {
            lanes = job->planes + c / THIMBLE_PLANE_LANES * (job->quad_bytes / 4);
        } else {
            thimble_fill_lanes_dsp(p, job, c, end);
        }
        for (int32_t channel = c; channel < end; channel++) {
            make_channel(p, job, lanes + channel - c, channel);
        }
    }
}

#endif

/* All channels of the rows that a job names. */
static void run(const thimble_planes_dsp_params *p, thimble_planes_function function, thimble_fill_lanes_function fill,
                thimble_planes_job *job) {
#if defined(__ARM_FEATURE_DSP)
    if (fill != 0) {
        fill(p, job, 0, p->channels);
        job->inputs = job->inputs_end;
    }
    function(job);
#else
    (void)function;
    (void)fill;
    thimble_planes_portable(p, job);
#endif
}

void thimble_start_planes_job(const thimble_planes_dsp_params *params, const int32_t *packed, uint32_t *scratch,
                              thimble_planes_job *job) {
    const thimble_planes_dsp_params *p = params;
    const uint32_t ceiling = (uint32_t)(255 - (p->output_max - p->output_min));
    const uint32_t offset = ((uint32_t)p->output_min - ceiling) & 0xFFu;
    const int32_t leads = p->window.pad_left % 2;
    const int32_t pixels = p->window.input_width - leads;
    job->planes = scratch;
    job->packed = packed;
    job->channels = p->channels;
    job->ceiling = ceiling * 0x01010101u;
    job->offset = offset * 0x01010101u;
    job->common_addend = p->common_addend;
    job->weights = scratch + THIMBLE_PLANE_LANES * p->row_words *
                                 ((p->rows_at_once - 1) * p->window.stride_height + p->window.kernel_height);
    job->quad_bytes = 0;
    job->pixel_bytes = p->turned ? p->window.input_height * p->channels : p->channels;
    job->border = ((uint32_t)p->input_zero_point & 0xFFu) * 0x01010101u;
    job->leads = leads;
    job->fours_bytes = pixels / 4 * 4 * job->pixel_bytes;
    job->twos = pixels / 2 % 2;
    job->ones = pixels % 2;
    job->next_bytes = 4 * THIMBLE_PLANE_LANES * (p->row_words - leads - (pixels + 1) / 2);
}

void thimble_planes_dsp(const thimble_planes_dsp_params *params, thimble_planes_function function,
                        thimble_fill_lanes_function fill, const thimble_rows *input, const int32_t *packed,
                        uint32_t *scratch, const thimble_rows *output, int32_t first, int32_t end) {
    const thimble_planes_dsp_params *p = params;
    int8_t *outputs[THIMBLE_MAX_OUTPUT_ROWS];
    const int8_t *inputs[THIMBLE_MAX_PLANE_ROWS];
    thimble_planes_job job;
    const thimble_rows input_columns = {input->base, 0, p->channels};
    const thimble_rows output_columns = {output->base, 0, p->channels};
    const thimble_rows *from = p->turned ? &input_columns : input;
    const thimble_rows *to = p->turned ? &output_columns : output;
    thimble_start_planes_job(p, packed, scratch, &job);
    job.outputs = outputs;
    for (int32_t y = first; y < end;) {
        const int32_t image = y / p->window.output_height;
        const int32_t row = y - image * p->window.output_height;
        const int32_t rest = p->window.output_height - row < end - y ? p->window.output_height - row : end - y;
        const int32_t rows = rest < p->rows_at_once ? rest : p->rows_at_once;
        const int32_t held = (rows - 1) * p->window.stride_height + p->window.kernel_height;
        const int32_t top = row * p->window.stride_height - p->window.pad_top;
        const int32_t begin = top < 0 ? (-top < held ? -top : held) : 0;
        const int32_t inside = p->window.input_height - top < held ? p->window.input_height - top : held;
        const int32_t inside_end = inside > begin ? inside : begin;
        thimble_frame_planes_dsp(p, scratch, begin, inside_end, held);
        for (int32_t i = begin; i < inside_end; i++) {
            inputs[i - begin] = thimble_row(from, image * p->window.input_height + top + i);
        }
        for (int32_t i = 0; i < rows; i++) {
            outputs[i] = thimble_row(to, y + i);
        }
        job.outputs_end = outputs + rows;
        job.inputs = inputs;
        job.inputs_end = inputs + (inside_end - begin);
        job.to = scratch + THIMBLE_PLANE_LANES * (begin * p->row_words + p->window.pad_left / 2);
        run(p, function, fill, &job);
        y += rows;
    }
}
