/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "prefetch.h"
#include "memory.h"

#include <string.h>

enum { RING = PREFETCH_RING };

static int64_t later(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int rule(enum rule r) {
    return core.rules[r];
}

void prefetch_begin(struct prefetch *f, const struct run *run) {
    memset(f, 0, sizeof *f);
    f->run = run;
    f->region = run->block->region;
    f->first_word = run->block->start & ~3u;
    f->skip = INT64_MIN;
    f->consumed = run->block->start >> 1 & 1u;
    for (unsigned int i = 0; i < RING; i++)
        f->release[i] = LONG_AGO;
}

int64_t prefetch_time(const struct prefetch *f, uint32_t word) {
    uint32_t capacity = (uint32_t)rule(R_FETCH_BUFFER_WORDS);
    int64_t at = f->bus_free;
    if (word >= capacity) {
        int64_t room = f->release[(word - capacity) % RING];
        /* Right behind a branch nothing flows yet, so that room made in the very cycle is seen a cycle late. */
        if (room > at || (room == at && word == capacity && f->redirected))
            at = room + rule(R_FETCH_RESTART);
    }
    return at == f->skip ? at + 1 : at;
}

int64_t prefetch_read(const struct prefetch *f, uint32_t address, int64_t at) {
    struct region *region = f->region;
    if (!f->run->fetch_waits || !region || address - region->base >= region->size)
        return at + 1;
    return memory_fetch(region, address, f->run->now + at) - f->run->now;
}

static void fetch_next(struct prefetch *f, int64_t at) {
    uint32_t word = f->issued++;
    f->bus_free = f->ready[word % RING] = prefetch_read(f, f->first_word + 4 * word, at);
}

/* Let the prefetch unit run until `word` has been issued; returns the end of that word's data phase. */
static int64_t fetch_word(struct prefetch *f, uint32_t word) {
    while (f->issued <= word)
        fetch_next(f, prefetch_time(f, f->issued));
    return f->ready[word % RING];
}

int64_t prefetch_decode(struct prefetch *f, const struct insn *in, int64_t stage_free) {
    uint32_t last = f->consumed + in->size / 2u - 1;
    int64_t at = stage_free;
    if (rule(R_FETCH_BUFFER_WORDS))
        at = later(at, fetch_word(f, last / 2) + 1);
    for (uint32_t half = f->consumed; half <= last; half++)
        if (half & 1u)
            f->release[half / 2 % RING] = at;
    f->consumed = last + 1;
    return at;
}

void prefetch_until(struct prefetch *f, int64_t redirect) {
    uint32_t limit = (f->consumed + 1) / 2 + (uint32_t)rule(R_FETCH_BUFFER_WORDS);
    while (f->issued < limit) {
        int64_t at = prefetch_time(f, f->issued);
        if (at >= redirect)
            break;
        fetch_next(f, at);
    }
}
