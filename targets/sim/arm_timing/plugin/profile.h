/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cycles by function: self from the blocks, inclusive and calls from a shadow stack. */
#ifndef THIMBLE_PROFILE_H
#define THIMBLE_PROFILE_H

#include "timing.h"

struct function {
    uint32_t start, size;
    char *name;
    uint64_t calls, inclusive_cycles, self_cycles, instructions;
    unsigned int active; /* frames of it on the shadow stack */
};

bool profile_add(uint32_t start, uint32_t size, const char *name);
void profile_prepare(void);
struct function *profile_find(uint32_t address);

/* Control went from the end of `from` to `to` at cycle `now`; `taken`: not to the next instruction. */
void profile_transfer(const struct block *from, const struct block *to, bool taken, int64_t now);

/* Close all frames at cycle `now`. */
void profile_finish(int64_t now);
void profile_write(FILE *out);
unsigned int profile_depth_overflows(void);

#endif
