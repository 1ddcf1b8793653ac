/* SPDX-License-Identifier: 0BSD */
#include "thimble_planes_mve.h"

/* What a call works with. `pixel_bytes` is the step from one column to the next. */
typedef struct {
    const thimble_planes_mve_params *p;
    const thimble_rows *input;
    int32_t pixel_bytes;
    int32_t plane_bytes;
    uint32x4_t offsets;   /* of four planes */
    int32_t *words;       /* (16): four bytes of each of 16 channels */
    const int8_t *border; /* a pixel of zero points */
    int8_t *planes;
} filling;

static int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}

/* Column 0 of row `y` of an image, null in the border. */
static const int8_t *line_at(const filling *f, int32_t image, int32_t y) {
    const thimble_planes_mve_params *p = f->p;
    if (y < 0 || y >= p->input_height) {
        return 0;
    }
    if (p->transposed) {
        return (const int8_t *)f->input->base + y * p->channels;
    }
    return thimble_row(f->input, image * p->input_height + y);
}

/* Four bytes of each of up to 16 channels, one of each pixel at `from`, as 16 words. */
static inline void interleave(const int8_t *const from[4], int32_t channels, int32_t *words) {
#if defined(__ARM_FEATURE_MVE)
    __asm__ volatile("vctp.8 %[channels]\n\t"
                     "vpstttt\n\t"
                     "vldrbt.8 q0, [%[a]]\n\t"
                     "vldrbt.8 q1, [%[b]]\n\t"
                     "vldrbt.8 q2, [%[c]]\n\t"
                     "vldrbt.8 q3, [%[d]]\n\t"
                     "vst40.8 {q0, q1, q2, q3}, [%[words]]\n\t"
                     "vst41.8 {q0, q1, q2, q3}, [%[words]]\n\t"
                     "vst42.8 {q0, q1, q2, q3}, [%[words]]\n\t"
                     "vst43.8 {q0, q1, q2, q3}, [%[words]]"
                     :
                     : [a] "r"(from[0]), [b] "r"(from[1]), [c] "r"(from[2]), [d] "r"(from[3]), [channels] "r"(channels),
                       [words] "r"(words)
                     : "q0", "q1", "q2", "q3", "memory");
#else
    int8_t *bytes = (int8_t *)words;
    for (int32_t i = 0; i < 4; i++) {
        for (int32_t channel = 0; channel < 16; channel++) {
            bytes[4 * channel + i] = channel < channels ? from[i][channel] : 0;
        }
    }
#endif
}

/* Four words, one for each of four planes. */
static inline void scatter(const filling *f, const int32_t *words, int8_t *to) {
    vstrwq_scatter_offset_s32((int32_t *)(void *)to, f->offsets, vldrwq_s32(words));
}

/* One word of each of 16 * blocks channels from the four pixels at `from`, to the planes at `to`; returns the place of
 * the channels behind them. */
static inline int8_t *put_blocks(const filling *f, const int8_t *from[4], int32_t blocks, int8_t *to) {
    const int32_t step = 4 * f->plane_bytes;
#if defined(__ARM_FEATURE_MVE)
    if (blocks > 0) {
        __asm__ volatile("dls lr, %[blocks]\n"
                         "1: vldrb.8 q0, [%[a]], #16\n\t"
                         "vldrb.8 q1, [%[b]], #16\n\t"
                         "vldrb.8 q2, [%[c]], #16\n\t"
                         "vldrb.8 q3, [%[d]], #16\n\t"
                         "vst40.8 {q0, q1, q2, q3}, [%[words]]\n\t"
                         "vst41.8 {q0, q1, q2, q3}, [%[words]]\n\t"
                         "vst42.8 {q0, q1, q2, q3}, [%[words]]\n\t"
                         "vst43.8 {q0, q1, q2, q3}, [%[words]]\n\t"
                         "vldrw.32 q0, [%[words]]\n\t"
                         "vldrw.32 q1, [%[words], #16]\n\t"
                         "vldrw.32 q2, [%[words], #32]\n\t"
                         "vldrw.32 q3, [%[words], #48]\n\t"
                         "vstrw.32 q0, [%[to], %q[offsets]]\n\t"
                         "add %[to], %[step]\n\t"
                         "vstrw.32 q1, [%[to], %q[offsets]]\n\t"
                         "add %[to], %[step]\n\t"
                         "vstrw.32 q2, [%[to], %q[offsets]]\n\t"
                         "add %[to], %[step]\n\t"
                         "vstrw.32 q3, [%[to], %q[offsets]]\n\t"
                         "add %[to], %[step]\n\t"
                         "le lr, 1b"
                         : [a] "+r"(from[0]), [b] "+r"(from[1]), [c] "+r"(from[2]), [d] "+r"(from[3]), [to] "+r"(to)
                         : [blocks] "r"(blocks), [words] "r"(f->words), [step] "r"(step), [offsets] "w"(f->offsets)
                         : "lr", "q0", "q1", "q2", "q3", "memory");
    }
#else
    for (; blocks > 0; blocks--) {
        interleave(from, 16, f->words);
        for (int32_t i = 0; i < 4; i++) {
            scatter(f, f->words + 4 * i, to);
            from[i] += 16;
            to += step;
        }
    }
#endif
    return to;
}

/* One word of each of `channels` channels from four pixels, to the planes at `to`. */
static inline void put_words(const filling *f, const int8_t *const pixels[4], int32_t channels, int8_t *to) {
    const int8_t *from[4] = {pixels[0], pixels[1], pixels[2], pixels[3]};
    to = put_blocks(f, from, channels / 16, to);
    if (channels % 16 != 0) {
        interleave(from, channels % 16, f->words);
        for (int32_t i = 0; i < channels % 16; i += 4) {
            scatter(f, f->words + i, to);
            to += 4 * f->plane_bytes;
        }
    }
}

/* Planes of columns of one byte: a word is four columns of row `y`. */
static void fill_bytes(const filling *f, int32_t image, int32_t y, int32_t channel, int32_t channels) {
    const thimble_planes_mve_params *p = f->p;
    const int8_t *line = line_at(f, image, y);
    for (int32_t column = 0; column < p->columns; column += 4) {
        const int8_t *from[4];
        for (int32_t i = 0; i < 4; i++) {
            const int32_t x = column + i - p->pad_left;
            const int inside = line != 0 && x >= 0 && x < p->input_width;
            from[i] = inside ? line + x * f->pixel_bytes + channel : f->border;
        }
        put_words(f, from, channels, f->planes + column);
    }
}

/* Planes of columns of whole words: a word is four rows of one column, the first one row `y`. */
static void fill_words(const filling *f, int32_t image, int32_t y, int32_t channel, int32_t channels) {
    const thimble_planes_mve_params *p = f->p;
    const int8_t *const border[4] = {f->border, f->border, f->border, f->border};
    for (int32_t first = 0; first < p->column_bytes; first += 4) {
        const int8_t *from[4];
        int32_t steps[4];
        for (int32_t i = 0; i < 4; i++) {
            const int8_t *line = line_at(f, image, y + first + i);
            from[i] = line == 0 ? f->border : line + channel;
            steps[i] = line == 0 ? 0 : f->pixel_bytes;
        }
        int8_t *to = f->planes + first;
        for (int32_t column = 0; column < p->columns; column++) {
            const int32_t x = column - p->pad_left;
            if (x < 0 || x >= p->input_width) {
                put_words(f, border, channels, to);
            } else {
                put_words(f, from, channels, to);
                for (int32_t i = 0; i < 4; i++) {
                    from[i] += steps[i];
                }
            }
            to += p->column_bytes;
        }
    }
}

void thimble_planes_mve(const thimble_planes_mve_params *params, thimble_planes_function_mve function,
                        const thimble_rows *input, const int32_t *packed, int32_t *scratch, const thimble_rows *output,
                        int32_t first, int32_t end) {
    const thimble_planes_mve_params *p = params;
    const int32_t border_bytes = (p->channels_at_once + 15) / 16 * 16;
    int8_t *border = (int8_t *)(scratch + 16);
    const filling f = {
        .p = p,
        .input = input,
        .pixel_bytes = p->transposed ? input->row_bytes : p->channels,
        .plane_bytes = p->plane_bytes,
        .offsets = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)p->plane_bytes),
        .words = scratch,
        .border = border,
        .planes = border + border_bytes,
    };
    thimble_planes_job_mve job = {
        .planes = f.planes,
        .plane_bytes = p->plane_bytes,
        .channel_bytes = p->channel_bytes,
        .pixel_bytes = p->transposed ? output->row_bytes : p->channels,
        .width = p->output_width,
        .zero_point = p->output_zero_point,
        .low = p->output_min,
        .high = p->output_max,
    };
    int32_t done; /* output rows of one filling */
    thimble_fill_mve(border, p->input_zero_point, border_bytes);
    for (int32_t row = first; row < end; row += done) {
        const int32_t image = row / p->output_height;
        const int32_t y = row - image * p->output_height;
        const int32_t top = y * p->stride_height - p->pad_top;
        done = smaller(smaller(p->rows_at_once, p->output_height - y), end - row);
        for (int32_t channel = 0; channel < p->channels; channel += p->channels_at_once) {
            job.channels = smaller(p->channels_at_once, p->channels - channel);
            job.packed = (const int8_t *)packed + channel * p->channel_bytes;
            if (p->column_bytes == 1) {
                fill_bytes(&f, image, top, channel, job.channels);
            } else {
                fill_words(&f, image, top, channel, job.channels);
            }
            for (job.row = 0; job.row < done; job.row++) {
                int8_t *out = p->transposed ? (int8_t *)output->base + (row + job.row) * p->channels
                                            : thimble_row(output, row + job.row);
                job.output = out + channel;
                function(&job);
            }
        }
    }
}
