/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memories of the chip: regions, the caches and line buffers before them, and the flash array that they share. */
#ifndef THIMBLE_MEMORY_H
#define THIMBLE_MEMORY_H

#include "timing.h"

enum { MAX_REGIONS = 16, MAX_CACHES = 4, MAX_LINES = 4096 };

struct cache {
    uint32_t line_bytes, sector_bytes, lines, ways; /* ways == lines: fully associative */
    uint32_t sets, sectors_per_line;
    uint64_t generation; /* counts evictions */
    uint64_t stamp[MAX_LINES];
    uint32_t line[MAX_LINES]; /* line number + 1 */
    uint8_t owner[MAX_LINES]; /* region */
    uint8_t valid[MAX_LINES]; /* sectors filled */
    uint64_t hits, misses;
};

struct region {
    char name[32];
    uint32_t base, size;
    uint16_t fetch_wait, data_wait;
    uint16_t grant_cycles; /* further cycles of a load that no other access comes right before */
    uint16_t lookup;       /* cycles in which the cache is looked up before the array is read */
    int8_t fetch_cache, data_cache;
    bool prefetch, is_flash;
    uint16_t *where[MAX_CACHES]; /* line number -> slot + 1 */
    uint64_t loads, stores, fetch_misses, data_misses;
    /* the array behind the caches */
    int64_t free_at, prefetch_ready;
    uint32_t prefetch_sector;
};

extern struct region regions[MAX_REGIONS];
extern unsigned int region_count;
extern struct cache caches[MAX_CACHES];
extern unsigned int cache_count;
extern struct region elsewhere;

bool memory_prepare(void);
struct region *memory_find(uint32_t address);

/* Is the whole block in its instruction cache? Marks it as used. */
bool memory_block_resident(struct block *block);

/* Is the target of the block's branch, which is not taken but was read, in the instruction cache? */
bool memory_target_resident(struct block *block);

/* Fetch one word whose address phase is at cycle `at`: returns the cycle in which its data phase ends. */
int64_t memory_fetch(struct region *region, uint32_t address, int64_t at);

/* Wait states of a read of `wait` states of the array that wants to start at cycle `at`. */
int64_t memory_array_wait(struct region *region, uint16_t wait, int64_t at);

/* A load from or a store to the data cache of `region`: true on a hit; a missing sector is filled. */
bool memory_data_lookup(struct region *region, uint32_t address);

#endif
