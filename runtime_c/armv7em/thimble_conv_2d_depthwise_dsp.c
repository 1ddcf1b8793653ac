/* SPDX-License-Identifier: 0BSD */
#include "thimble_conv_2d_depthwise_dsp.h"

#include <string.h>

#if !defined(__ARM_FEATURE_DSP)

/* Puts the element of pixel (y, x) into the plane of a channel, whose first pixel lies at `lane`. */
static void put_element(const thimble_planes_dsp_params *p, uint8_t *lane, int32_t y, int32_t x, int32_t value) {
    const int32_t leads = p->window.pad_left % 2;
    const int32_t words = THIMBLE_PLANE_LANES * (y * p->row_words + (x + leads) / 2);
    const int16_t element = (int16_t)value;
    memcpy(lane + 4 * words + 2 * ((x + leads) % 2) - 2 * leads, &element, sizeof element);
}

/* The output of a pixel and one of the two channels of the pair at `weights`. */
static int32_t pointwise_output(const thimble_wide_rows_dsp_params *p, const uint32_t *pixel, const int32_t *weights,
                                int32_t channel) {
    const thimble_sums_form form = {p->folded, p->scale_bits, p->rounds_ties,
                                    p->output_min != -128 || p->output_max != 127, p->shift};
    const uint32_t ceiling = (uint32_t)(255 - (p->output_max - p->output_min));
    const thimble_tail tail = {form.clamps, ceiling, ((uint32_t)p->output_min - ceiling) & 0xFFu};
    uint32_t sum = (uint32_t)weights[channel];
    for (int32_t step = 0; step < (p->input_channels + 3) / 4; step++) {
        const uint32_t word = (uint32_t)weights[2 + 2 * step + channel];
        sum += thimble_sums_step(form, pixel[2 * step], pixel[2 * step + 1], word);
    }
    const int32_t *constants = weights + 2 + 2 * p->row_steps;
    return thimble_sums_output(form, tail, sum, constants + channel * thimble_channel_constants(p->shift));
}

/* The portable twin of the generated matrix products. */
static void product_portable(const thimble_conv_2d_depthwise_dsp_params *p, const thimble_planes_matmul_job *job) {
    const thimble_wide_rows_dsp_params *convolution = &p->convolution;
    const int32_t pixel_words = 2 * ((convolution->input_channels + 3) / 4);
    const int32_t rows = job->rows_bytes / (4 * THIMBLE_PLANE_LANES * p->depthwise.row_words);
    uint8_t *lane = job->lane;
    for (int32_t pair = 0; pair < job->channels; pair += 2) {
        const int32_t *weights = job->weights + pair / 2 * (job->pair_bytes / 4);
        for (int32_t i = 0; i < rows * convolution->output_width; i++) {
            const int32_t y = i / convolution->output_width;
            const int32_t x = i % convolution->output_width;
            for (int32_t c = 0; c < 2; c++) {
                const int32_t value = pointwise_output(convolution, job->rows + i * pixel_words, weights, c);
                put_element(&p->depthwise, lane + 4 * c, y, x, value);
            }
        }
        lane += pair % 4 == 0 ? 8 : job->quad_step;
    }
}

#endif

/* A call that is under way.
 * place    bytes from the first plane to where its first pixel goes, and from row to row
 * made     rows of the convolution's output that are made, those of the band included
 * new_rows   those of the band
 * held     rows of the planes that hold something
 * output   the first output row of the band, and how many it has */
typedef struct {
    const thimble_conv_2d_depthwise_dsp_params *params;
    thimble_planes_matmul_function product;
    thimble_planes_function depthwise;
    thimble_planes_matmul_job first;
    thimble_planes_job second;
    int32_t made;
    int32_t new_rows;
    int32_t held;
    int32_t output;
    int32_t output_rows;
    int8_t *outputs[THIMBLE_MAX_FUSED_ROWS];
} bands;

/* Bytes of a row of the planes of four channels. */
static int32_t row_bytes(const thimble_conv_2d_depthwise_dsp_params *p) {
    return 4 * THIMBLE_PLANE_LANES * p->depthwise.row_words;
}

/* Some rows that are widened, to the planes of some channels. */
static void fill(const bands *b, thimble_planes_matmul_job *job, int32_t rows) {
    job->rows_bytes = rows * row_bytes(b->params);
#if defined(__ARM_FEATURE_DSP)
    b->product(job);
#else
    product_portable(b->params, job);
#endif
}

/* The band's rows of `count` channels of the output from `channel` on; those of the next call follow. */
static void make_outputs(bands *b, const thimble_rows *output, int32_t channel, int32_t count) {
    for (int32_t row = 0; row < b->output_rows; row++) {
        b->outputs[row] = (int8_t *)thimble_row(output, b->output + row) + channel;
    }
    b->second.outputs_end = b->outputs + b->output_rows;
    b->second.channels = count;
#if defined(__ARM_FEATURE_DSP)
    b->depthwise(&b->second);
#else
    thimble_planes_portable(&b->params->depthwise, &b->second);
#endif
    b->second.packed += count * b->params->depthwise.channel_words;
}

/* What all bands have in common; planes lie at `planes`, and get their borders above and beside the image. */
static void start(bands *b, const thimble_conv_2d_depthwise_dsp_params *params, const int32_t *packed,
                  const int32_t *depthwise_packed, uint32_t *scratch, uint32_t *planes) {
    const thimble_wide_rows_dsp_params *p = &params->convolution;
    const thimble_planes_dsp_params *to = &params->depthwise;
    const thimble_row_matmul_job rows = thimble_make_row_matmul_job(p, packed, scratch);
    const uint32_t ceiling = 65535u - (uint32_t)(p->output_max - p->output_min);
    const uint32_t offset = ((uint32_t)p->output_min - ceiling) & 0xFFFFu;
    const int32_t quad_bytes = params->plane_rows * row_bytes(params);
    b->params = params;
    b->first.rows = rows.rows;
    b->first.pair_bytes = rows.pair_bytes;
    b->first.staged = scratch;
    b->first.outputs = 0;
    b->first.ceiling = ceiling * 0x00010001u;
    b->first.offset = offset * 0x00010001u;
    b->first.quad_step = quad_bytes - 8;
    thimble_start_planes_job(to, depthwise_packed, planes, &b->second);
    b->second.quad_bytes = quad_bytes;
    b->second.inputs = 0;
    b->second.inputs_end = 0;
    b->second.outputs = b->outputs;
    b->made = 0;
    b->held = to->window.pad_top;
    b->output = 0;
    b->output_rows = 0;
    for (int32_t quad = 0; quad < params->quads_at_once; quad++) {
        thimble_frame_planes_dsp(to, planes + quad * (quad_bytes / 4), to->window.pad_top, params->plane_rows,
                                 params->plane_rows);
    }
}

/* On to the next band, of which nothing is made yet; 0 where all outputs are made. */
static int next_band(bands *b, const int32_t *packed, const int32_t *depthwise_packed) {
    const thimble_planes_dsp_params *to = &b->params->depthwise;
    const thimble_window *window = &to->window;
    b->output += b->output_rows;
    const int32_t rest = window->output_height - b->output;
    const int32_t row_words = row_bytes(b->params) / 4;
    if (rest == 0) {
        return 0;
    }
    const int32_t left = window->input_height - b->made;
    const int32_t under_rest = (rest - 1) * window->stride_height + window->kernel_height;
    b->new_rows = left < b->params->band_rows ? left : b->params->band_rows;
    b->made += b->new_rows;
    const int32_t passed = b->output_rows * window->stride_height;
    const int32_t kept = b->held - passed;
    b->held = kept + b->new_rows;
    b->output_rows = (b->held - window->kernel_height) / window->stride_height + 1;
    if (left == b->new_rows || b->held >= under_rest) {
        b->output_rows = rest;
    }
    for (int32_t quad = 0; quad < b->params->quads_at_once; quad++) {
        uint32_t *plane = b->second.planes + quad * (b->second.quad_bytes / 4);
        if (passed > 0) {
            thimble_move_words(plane + passed * row_words, plane, kept * row_words);
        }
        if (b->output_rows == rest && b->held < under_rest) {
            thimble_frame_planes_dsp(to, plane + b->held * row_words, 0, 0, under_rest - b->held);
        }
    }
    const int32_t place = THIMBLE_PLANE_LANES * (kept * to->row_words + window->pad_left / 2);
    b->first.lane = (uint8_t *)(b->second.planes + place) + 2 * (window->pad_left % 2);
    b->first.weights = packed;
    b->second.packed = depthwise_packed;
    return 1;
}

/* Bytes of the weights of one pair, in whole 32, as words. */
static int32_t staged_words(const thimble_wide_rows_dsp_params *p) {
    return (8 * p->row_steps + thimble_pair_constants_bytes(p->shift) + 31) / 32 * 8;
}

/* Words of all pixels that are widened at once, and of what the last turn reads behind them. */
static int32_t widened_words(const thimble_wide_rows_dsp_params *p) {
    const int32_t pixel_words = 2 * ((p->input_channels + 3) / 4);
    return p->row_pixels * pixel_words + 2 * p->row_steps - pixel_words;
}

void thimble_conv_2d_depthwise_dsp(const thimble_conv_2d_depthwise_dsp_params *params,
                                   thimble_planes_matmul_function product, thimble_planes_function depthwise,
                                   const thimble_rows *input, const int32_t *packed, const int32_t *depthwise_packed,
                                   uint32_t *scratch, const thimble_rows *output) {
    const thimble_conv_2d_depthwise_dsp_params *p = params;
    const int32_t channels = p->depthwise.channels;
    const int32_t at_once = THIMBLE_PLANE_LANES * p->quads_at_once;
    const int8_t *from = (const int8_t *)input->base;
    uint32_t *rows = scratch + staged_words(&p->convolution);
    uint32_t *planes = rows + widened_words(&p->convolution);
    bands b;
    b.product = product;
    b.depthwise = depthwise;
    start(&b, p, packed, depthwise_packed, scratch, planes);
    while (next_band(&b, packed, depthwise_packed)) {
        const int32_t pixels = b.new_rows * p->convolution.output_width;
        thimble_widen_pixels_dsp(&p->convolution, from, rows, pixels);
        from += pixels * p->convolution.input_channels;
        for (int32_t channel = 0; channel < channels; channel += at_once) {
            const int32_t count = channels - channel < at_once ? channels - channel : at_once;
            b.first.channels = (count + 1) / 2 * 2;
            fill(&b, &b.first, b.new_rows);
            make_outputs(&b, output, channel, count);
            b.first.weights += at_once / 2 * (b.first.pair_bytes / 4);
        }
    }
}

void thimble_windows_depthwise_dsp(const thimble_windows_depthwise_dsp_params *params,
                                   thimble_planes_matmul_function product, thimble_planes_function depthwise,
                                   thimble_put_windows_function put, const thimble_rows *input, const int32_t *packed,
                                   const int32_t *depthwise_packed, uint32_t *scratch, const thimble_rows *output) {
    const thimble_flat_windows_dsp_params *p = &params->convolution;
    thimble_conv_2d_depthwise_dsp_params all = {thimble_window_pixels(p), params->depthwise, params->plane_rows,
                                                params->band_rows, params->quads_at_once};
    all.convolution.output_width = p->output_width;
    uint32_t *rows = scratch + staged_words(&all.convolution);
    int8_t *held = (int8_t *)(rows + widened_words(&all.convolution));
    uint32_t *planes = rows + widened_words(&all.convolution) + p->held_rows * p->pitch / 4;
    bands b;
    b.product = product;
    b.depthwise = depthwise;
    start(&b, &all, packed, depthwise_packed, scratch, planes);
    const int32_t kept = p->held_rows > p->stride_height ? p->held_rows - p->stride_height : 0;
    const int32_t most = p->windows / p->output_width;
    b.first.channels = (p->output_channels + 1) / 2 * 2;
    while (next_band(&b, packed, depthwise_packed)) {
        for (int32_t y = b.made - b.new_rows; y < b.made;) {
            const int32_t count = b.made - y < most ? b.made - y : most;
            for (int32_t i = 0; i < count; i++) {
                thimble_hold_rows_dsp(p, input, y * p->stride_height - p->pad_top, y == 0 ? 0 : kept, held);
                put(held, rows + i * p->output_width * (p->depth / 2), p->output_width);
                y++;
            }
            fill(&b, &b.first, count);
            b.first.lane += count * row_bytes(&all);
        }
        make_outputs(&b, output, 0, p->output_channels);
    }
}
