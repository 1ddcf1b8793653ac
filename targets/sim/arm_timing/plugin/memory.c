/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "memory.h"

#include <stdlib.h>

enum { MAX_TOUCHED = 4096 };

struct region regions[MAX_REGIONS];
unsigned int region_count;
struct cache caches[MAX_CACHES];
unsigned int cache_count;
struct region elsewhere = {.name = "other", .fetch_cache = NO_CACHE, .data_cache = NO_CACHE};

static uint64_t use_clock;
/* Blocks that ran since the last eviction: their lines' stamps are brought up to date only when one is needed. */
static struct block *touched[MAX_TOUCHED];
static unsigned int touched_count;

struct region *memory_find(uint32_t address) {
    for (unsigned int i = 0; i < region_count; i++)
        if (address - regions[i].base < regions[i].size)
            return &regions[i];
    return &elsewhere;
}

bool memory_prepare(void) {
    for (unsigned int c = 0; c < cache_count; c++) {
        struct cache *cache = &caches[c];
        if (!cache->lines || cache->lines > MAX_LINES || !cache->ways || cache->lines % cache->ways ||
            !cache->sector_bytes || cache->line_bytes % cache->sector_bytes)
            return false;
        cache->sets = cache->lines / cache->ways;
        cache->sectors_per_line = cache->line_bytes / cache->sector_bytes;
        cache->generation = 1;
        for (unsigned int r = 0; r < region_count; r++)
            if (regions[r].fetch_cache == (int)c || regions[r].data_cache == (int)c) {
                regions[r].where[c] = calloc(regions[r].size / cache->line_bytes + 1, sizeof(uint16_t));
                if (!regions[r].where[c])
                    return false;
            }
    }
    return true;
}

static void apply_touches(void) {
    for (unsigned int i = 0; i < touched_count; i++) {
        struct block *block = touched[i];
        struct region *region = block->region;
        struct cache *cache = &caches[region->fetch_cache];
        for (uint32_t line = block->first_sector / cache->sectors_per_line;
             line <= block->last_sector / cache->sectors_per_line; line++) {
            uint16_t slot = region->where[region->fetch_cache][line];
            if (slot && cache->stamp[slot - 1] < block->stamp)
                cache->stamp[slot - 1] = block->stamp;
        }
        block->listed = false;
    }
    touched_count = 0;
}

static void touch(struct block *block) {
    block->stamp = ++use_clock;
    if (!block->listed) {
        if (touched_count == MAX_TOUCHED)
            apply_touches();
        block->listed = true;
        touched[touched_count++] = block;
    }
}

/* Least recently used line of the set; its former content is forgotten. */
static uint32_t replace(struct cache *cache, unsigned int number, struct region *region, uint32_t line) {
    uint32_t first = line % cache->sets * cache->ways, victim = first;
    apply_touches();
    for (uint32_t slot = first; slot < first + cache->ways; slot++) {
        if (!cache->line[slot]) {
            victim = slot;
            break;
        }
        if (cache->stamp[slot] < cache->stamp[victim])
            victim = slot;
    }
    if (cache->line[victim]) {
        regions[cache->owner[victim]].where[number][cache->line[victim] - 1] = 0;
        cache->generation++;
    }
    cache->line[victim] = line + 1;
    cache->owner[victim] = (uint8_t)(region - regions);
    cache->valid[victim] = 0;
    region->where[number][line] = (uint16_t)(victim + 1);
    return victim;
}

static bool present(const struct region *region, int number, uint32_t sector) {
    const struct cache *cache = &caches[number];
    uint16_t slot = region->where[number][sector / cache->sectors_per_line];
    return slot && (cache->valid[slot - 1] >> sector % cache->sectors_per_line & 1u);
}

/* Look a sector up and fill it if it is missing: true on a hit. */
static bool lookup(struct region *region, int number, uint32_t sector) {
    struct cache *cache = &caches[number];
    uint32_t line = sector / cache->sectors_per_line, bit = 1u << sector % cache->sectors_per_line;
    uint32_t slot = region->where[number][line];
    slot = slot ? slot - 1 : replace(cache, (unsigned int)number, region, line);
    bool hit = cache->valid[slot] & bit;
    cache->valid[slot] |= (uint8_t)bit;
    cache->stamp[slot] = ++use_clock;
    hit ? cache->hits++ : cache->misses++;
    return hit;
}

bool memory_block_resident(struct block *block) {
    struct region *region = block->region;
    const struct cache *cache = &caches[region->fetch_cache];
    if (block->generation != cache->generation) {
        for (uint32_t sector = block->first_sector; sector <= block->last_sector; sector++)
            if (!present(region, region->fetch_cache, sector))
                return false;
        block->generation = cache->generation;
    }
    touch(block);
    return true;
}

bool memory_target_resident(struct block *block) {
    const struct cache *cache = &caches[block->region->fetch_cache];
    if (block->target_generation != cache->generation) {
        if (!present(block->region, block->region->fetch_cache, block->target_sector))
            return false;
        block->target_generation = cache->generation;
    }
    return true;
}

static int64_t later(int64_t a, int64_t b) {
    return a > b ? a : b;
}

int64_t memory_array_wait(struct region *region, uint16_t wait, int64_t at) {
    int64_t start = later(at, region->free_at), end = start + 1 + wait;
    region->free_at = end;
    return end - at - 1;
}

static void start_prefetch(struct region *region, uint32_t sector, int64_t at) {
    uint32_t sector_bytes = caches[region->fetch_cache].sector_bytes;
    if (!region->prefetch || (uint64_t)(sector + 1) * sector_bytes > region->size ||
        present(region, region->fetch_cache, sector))
        return;
    region->prefetch_sector = sector + 1;
    region->prefetch_ready = at + 1 + memory_array_wait(region, region->fetch_wait, at);
}

int64_t memory_fetch(struct region *region, uint32_t address, int64_t at) {
    if (region->fetch_cache == NO_CACHE)
        return at + 1 + region->fetch_wait;
    uint32_t sector = (address - region->base) / caches[region->fetch_cache].sector_bytes;
    if (lookup(region, region->fetch_cache, sector))
        return at + 1;
    int64_t end;
    if (region->prefetch_sector == sector + 1) {
        end = later(at + 1, region->prefetch_ready);
    } else {
        end = at + 1 + region->lookup + memory_array_wait(region, region->fetch_wait, at + region->lookup);
        region->fetch_misses++;
    }
    start_prefetch(region, sector + 1, at);
    return end;
}

bool memory_data_lookup(struct region *region, uint32_t address) {
    return lookup(region, region->data_cache, (address - region->base) / caches[region->data_cache].sector_bytes);
}
