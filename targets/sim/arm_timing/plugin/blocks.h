/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the bytes of a translated block to what the engine runs. */
#ifndef THIMBLE_BLOCKS_H
#define THIMBLE_BLOCKS_H

#include "timing.h"

/* A block of `count` instructions that starts at `start`, or NULL without memory; then each instruction in turn, then
 * the whole. */
struct block *block_begin(uint32_t start, size_t count);
struct insn *block_decode(struct block *block, size_t index, uint32_t address, const uint8_t *code);
void block_end(struct block *block);

/* All blocks, the last one first. */
extern struct block *all_blocks;

/* Encodings that the core's table has no row for. */
struct unknown {
    uint32_t address, encoding;
    struct block *block;
};

enum { MAX_UNKNOWN = 64 };
extern struct unknown unknown[MAX_UNKNOWN];
extern unsigned int unknown_count, unknown_lost;

#endif
