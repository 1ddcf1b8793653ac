/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The clock: blocks of code in, cycles out. */
#ifndef THIMBLE_ENGINE_H
#define THIMBLE_ENGINE_H

#include "memory.h"
#include "profile.h"
#include "timing.h"

/* What the run has counted so far. */
struct engine {
    int64_t cycles;
    uint64_t instructions;
    uint64_t full_runs; /* blocks that went through the pipeline anew */
    uint64_t unaligned;
    uint32_t lowest_store; /* in the stack */
    unsigned int states;   /* of the pipeline, so far */
};

extern struct engine engine;

/* Open the trace, if one is asked for; false where that fails. */
bool engine_start(void);
void engine_stop(void);
bool engine_traces(uint32_t from, uint32_t to);

/* `block` begins; the one before it, if any, is timed. */
void engine_enter(struct block *block);

/* The run is over: time the last block. */
void engine_finish(void);

/* The running block's instruction `in` read or wrote `size` bytes at `address`. */
void engine_access(const struct insn *in, uint32_t address, unsigned int size, bool store);

/* The running block's conditional instruction `in` was executed. */
void engine_executed(const struct insn *in);

#endif
