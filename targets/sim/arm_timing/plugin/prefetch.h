/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The prefetch unit of the Cortex-M3 and M4: aligned words into a buffer of FETCH_BUFFER_WORDS (Arm article 103488664).
 * A word read in one cycle (address phase) is there at the end of the next (data phase) and can be decoded in the one
 * after. Cycles are relative to the block's start. */
#ifndef THIMBLE_PREFETCH_H
#define THIMBLE_PREFETCH_H

#include "timing.h"

enum { LONG_AGO = -8, PREFETCH_RING = 4 };

struct prefetch {
    const struct run *run;
    struct region *region;
    uint32_t first_word;            /* address of word 0 */
    uint32_t issued;                /* words whose address phase has been */
    uint32_t consumed;              /* halfwords that were decoded */
    bool redirected;                /* the block was entered by a branch */
    int64_t bus_free;               /* first cycle for the next address phase */
    int64_t skip;                   /* cycle whose slot a speculative branch target took */
    int64_t ready[PREFETCH_RING];   /* end of data phase, of word number modulo PREFETCH_RING */
    int64_t release[PREFETCH_RING]; /* cycle in which the word left the buffer */
};

void prefetch_begin(struct prefetch *f, const struct run *run);

/* Cycle of the address phase of word number `word`, the next one to be read. */
int64_t prefetch_time(const struct prefetch *f, uint32_t word);

/* A read of the instruction bus from cycle `at`: returns the end of its data phase. */
int64_t prefetch_read(const struct prefetch *f, uint32_t address, int64_t at);

/* Decode `in`: the earliest cycle for it, not before `stage_free`; the words that it empties leave the buffer. */
int64_t prefetch_decode(struct prefetch *f, const struct insn *in, int64_t stage_free);

/* Read on until a branch redirects the unit in cycle `redirect`: reads for nothing that memory and bus feel. */
void prefetch_until(struct prefetch *f, int64_t redirect);

#endif
