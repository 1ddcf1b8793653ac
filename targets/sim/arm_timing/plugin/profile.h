/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cycles by function: self from the blocks, inclusive and calls from a shadow stack. */
#ifndef THIMBLE_PROFILE_H
#define THIMBLE_PROFILE_H

#include "timing.h"

struct function {
    uint32_t start, size;
    char *name;
    uint64_t calls, inclusive_cycles, inclusive_instructions, self_cycles, instructions;
    unsigned int active; /* frames of it on the shadow stack */
};

bool profile_add(uint32_t start, uint32_t size, const char *name);
void profile_prepare(void);
struct function *profile_find(uint32_t address);

/* A moment of the run: cycles and instructions so far. */
struct moment {
    int64_t cycles;
    uint64_t instructions;
};

/* Control went from the end of `from` to `to`; `taken`: not to the next instruction. A function that leaves by a tail
 * call stays open until the called one returns, as it would had it called it in the plain way. */
void profile_transfer(const struct block *from, const struct block *to, bool taken, struct moment now);

/* Close all frames. */
void profile_finish(struct moment now);
void profile_write(FILE *out);
unsigned int profile_depth_overflows(void);

#endif
