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
    uint8_t *lane = job->lane;
    for (int32_t pair = 0; pair < job->channels; pair += 2) {
        const int32_t *weights = job->weights + pair / 2 * (job->pair_bytes / 4);
        for (int32_t i = 0; i < convolution->row_pixels; i++) {
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

/* Some channels of the pixels that are widened, to their planes. */
static void fill(const thimble_conv_2d_depthwise_dsp_params *p, thimble_planes_matmul_function product,
                 const thimble_planes_matmul_job *job) {
#if defined(__ARM_FEATURE_DSP)
    (void)p;
    product(job);
#else
    (void)product;
    product_portable(p, job);
#endif
}

/* What all groups of channels have in common; their planes lie at `planes`, and places of output rows at `outputs`. */
static thimble_planes_job start_outputs(const thimble_conv_2d_depthwise_dsp_params *p, const int32_t *packed,
                                        uint32_t *planes, int8_t **outputs) {
    thimble_planes_job job;
    thimble_start_planes_job(&p->depthwise, packed, planes, &job);
    job.quad_bytes = 4 * THIMBLE_PLANE_LANES * p->plane_rows * p->depthwise.row_words;
    job.outputs = outputs;
    job.outputs_end = outputs + p->depthwise.rows_at_once;
    job.inputs = 0;
    job.inputs_end = 0;
    return job;
}

/* `count` channels of the output from `channel` on; those of the next call follow. */
static void make_outputs(const thimble_conv_2d_depthwise_dsp_params *p, thimble_planes_function depthwise,
                         thimble_planes_job *job, int8_t **outputs, const thimble_rows *output, int32_t channel,
                         int32_t count) {
    for (int32_t row = 0; row < p->depthwise.rows_at_once; row++) {
        outputs[row] = (int8_t *)thimble_row(output, row) + channel;
    }
    job->channels = count;
#if defined(__ARM_FEATURE_DSP)
    depthwise(job);
#else
    (void)depthwise;
    thimble_planes_portable(&p->depthwise, job);
#endif
    job->packed += count * p->depthwise.channel_words;
}

/* What all products have in common; planes lie at `planes`, and get their borders. */
static thimble_planes_matmul_job start_planes(const thimble_conv_2d_depthwise_dsp_params *params, const int32_t *packed,
                                              uint32_t *scratch, uint32_t *planes) {
    const thimble_wide_rows_dsp_params *p = &params->convolution;
    const thimble_planes_dsp_params *to = &params->depthwise;
    const thimble_row_matmul_job rows = thimble_make_row_matmul_job(p, packed, scratch);
    const uint32_t ceiling = 65535u - (uint32_t)(p->output_max - p->output_min);
    const uint32_t offset = ((uint32_t)p->output_min - ceiling) & 0xFFFFu;
    const int32_t quad_words = THIMBLE_PLANE_LANES * params->plane_rows * to->row_words;
    const int32_t first_word = to->window.pad_top * to->row_words + to->window.pad_left / 2;
    const thimble_planes_matmul_job job = {
        .rows = rows.rows,
        .weights = packed,
        .pair_bytes = rows.pair_bytes,
        .staged = scratch,
        .outputs = 0,
        .lane = (uint8_t *)(planes + THIMBLE_PLANE_LANES * first_word) + 2 * (to->window.pad_left % 2),
        .channels = 0,
        .ceiling = ceiling * 0x00010001u,
        .offset = offset * 0x00010001u,
        .quad_step = 4 * quad_words - 8,
    };
    const int32_t inside = to->window.pad_top + to->window.input_height;
    for (int32_t quad = 0; quad < params->quads_at_once; quad++) {
        thimble_frame_planes_dsp(to, planes + quad * quad_words, to->window.pad_top, inside, params->plane_rows);
    }
    return job;
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
    uint32_t *rows = scratch + staged_words(&p->convolution);
    uint32_t *planes = rows + widened_words(&p->convolution);
    int8_t *outputs[THIMBLE_MAX_FUSED_ROWS];
    thimble_planes_matmul_job job = start_planes(p, packed, scratch, planes);
    thimble_planes_job second = start_outputs(p, depthwise_packed, planes, outputs);
    thimble_widen_pixels_dsp(&p->convolution, (const int8_t *)input->base, rows, p->convolution.row_pixels);
    for (int32_t channel = 0; channel < channels; channel += at_once) {
        const int32_t count = channels - channel < at_once ? channels - channel : at_once;
        job.channels = (count + 1) / 2 * 2;
        fill(p, product, &job);
        make_outputs(p, depthwise, &second, outputs, output, channel, count);
        job.weights += at_once / 2 * (job.pair_bytes / 4);
    }
}

void thimble_windows_depthwise_dsp(const thimble_windows_depthwise_dsp_params *params,
                                   thimble_planes_matmul_function product, thimble_planes_function depthwise,
                                   thimble_put_windows_function put, const thimble_rows *input, const int32_t *packed,
                                   const int32_t *depthwise_packed, uint32_t *scratch, const thimble_rows *output) {
    const thimble_flat_windows_dsp_params *p = &params->convolution;
    thimble_conv_2d_depthwise_dsp_params all = {thimble_window_pixels(p), params->depthwise, params->plane_rows,
                                                params->quads_at_once};
    all.convolution.output_width = p->output_width;
    uint32_t *rows = scratch + staged_words(&all.convolution);
    int8_t *held = (int8_t *)(rows + widened_words(&all.convolution));
    uint32_t *planes = rows + widened_words(&all.convolution) + p->held_rows * p->pitch / 4;
    thimble_planes_matmul_job job = start_planes(&all, packed, scratch, planes);
    const int32_t kept = p->held_rows > p->stride_height ? p->held_rows - p->stride_height : 0;
    job.channels = (p->output_channels + 1) / 2 * 2;
    for (int32_t y = 0; y < p->output_height;) {
        for (int32_t done = 0; done < p->windows; done += p->output_width) {
            thimble_hold_rows_dsp(p, input, y * p->stride_height - p->pad_top, y == 0 ? 0 : kept, held);
            put(held, rows + done * (p->depth / 2), p->output_width);
            y++;
        }
        fill(&all, product, &job);
        job.lane += p->windows / p->output_width * 4 * THIMBLE_PLANE_LANES * params->depthwise.row_words;
    }
    int8_t *outputs[THIMBLE_MAX_FUSED_ROWS];
    thimble_planes_job second = start_outputs(&all, depthwise_packed, planes, outputs);
    make_outputs(&all, depthwise, &second, outputs, output, 0, p->output_channels);
}
