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

/* The channels from one on, as many as planes are there for. */
static void run(const thimble_conv_2d_depthwise_dsp_params *p, thimble_planes_matmul_function product,
                thimble_planes_function depthwise, thimble_planes_matmul_job *first, thimble_planes_job *second) {
#if defined(__ARM_FEATURE_DSP)
    (void)p;
    product(first);
    depthwise(second);
#else
    (void)product;
    (void)depthwise;
    product_portable(p, first);
    thimble_planes_portable(&p->depthwise, second);
#endif
}

/* All channels of the image, whose pixels are widened; the planes lie at `scratch`. */
static void make_channels(const thimble_conv_2d_depthwise_dsp_params *p, thimble_planes_matmul_function product,
                          thimble_planes_function depthwise, thimble_planes_matmul_job *first,
                          const int32_t *depthwise_packed, uint32_t *scratch, const thimble_rows *output) {
    const thimble_planes_dsp_params *planes = &p->depthwise;
    const int32_t at_once = THIMBLE_PLANE_LANES * p->quads_at_once;
    int8_t *outputs[THIMBLE_MAX_FUSED_ROWS];
    thimble_planes_job second;
    thimble_start_planes_job(planes, depthwise_packed, scratch, &second);
    second.quad_bytes = first->quad_step + 8;
    second.outputs = outputs;
    second.outputs_end = outputs + planes->rows_at_once;
    second.inputs = 0;
    second.inputs_end = 0;
    for (int32_t channel = 0; channel < planes->channels; channel += at_once) {
        const int32_t left = planes->channels - channel;
        const int32_t count = left < at_once ? left : at_once;
        for (int32_t row = 0; row < planes->rows_at_once; row++) {
            outputs[row] = (int8_t *)thimble_row(output, row) + channel;
        }
        first->channels = (count + 1) / 2 * 2;
        second.channels = count;
        run(p, product, depthwise, first, &second);
        first->weights += at_once / 2 * (first->pair_bytes / 4);
        second.packed += at_once * planes->channel_words;
    }
}

void thimble_conv_2d_depthwise_dsp(const thimble_conv_2d_depthwise_dsp_params *params,
                                   thimble_planes_matmul_function product, thimble_planes_function depthwise,
                                   const thimble_rows *input, const int32_t *packed, const int32_t *depthwise_packed,
                                   uint32_t *scratch, const thimble_rows *output) {
    const thimble_wide_rows_dsp_params *p = &params->convolution;
    const thimble_planes_dsp_params *planes = &params->depthwise;
    const thimble_row_matmul_job rows_job = thimble_make_row_matmul_job(p, packed, scratch);
    const uint32_t ceiling = 65535u - (uint32_t)(p->output_max - p->output_min);
    const uint32_t offset = ((uint32_t)p->output_min - ceiling) & 0xFFFFu;
    const int32_t quad_words = THIMBLE_PLANE_LANES * params->plane_rows * planes->row_words;
    const int32_t first_word = planes->window.pad_top * planes->row_words + planes->window.pad_left / 2;
    const int32_t spare_words = 2 * (p->row_steps - (p->input_channels + 3) / 4);
    uint32_t *rows = scratch + (rows_job.rows - scratch);
    uint32_t *to = rows + 2 * p->row_pixels * ((p->input_channels + 3) / 4) + spare_words;
    thimble_planes_matmul_job job = {
        .rows = rows,
        .weights = packed,
        .pair_bytes = rows_job.pair_bytes,
        .staged = scratch,
        .outputs = 0,
        .lane = (uint8_t *)(to + THIMBLE_PLANE_LANES * first_word) + 2 * (planes->window.pad_left % 2),
        .channels = 0,
        .ceiling = ceiling * 0x00010001u,
        .offset = offset * 0x00010001u,
        .quad_step = 4 * quad_words - 8,
    };
    const int32_t inside = planes->window.pad_top + planes->window.input_height;
    for (int32_t quad = 0; quad < params->quads_at_once; quad++) {
        thimble_frame_planes_dsp(planes, to + quad * quad_words, planes->window.pad_top, inside, params->plane_rows);
    }
    thimble_widen_pixels_dsp(p, (const int8_t *)input->base, rows, p->row_pixels);
    make_channels(params, product, depthwise, &job, depthwise_packed, to, output);
}
