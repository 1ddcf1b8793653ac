/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "blocks.h"
#include "config.h"
#include "engine.h"

#include <stdlib.h>

struct block *all_blocks;
struct unknown unknown[MAX_UNKNOWN];
unsigned int unknown_count, unknown_lost;

struct it_state {
    uint8_t left, pattern, number;
};

/* An IT block may go on behind the end of a page, where QEMU ends its own block. */
static struct {
    uint32_t address;
    struct it_state state;
} it_carry[256];

static struct it_state it; /* of the block that is being decoded */

static void note_unknown(struct block *b, const struct insn *in) {
    b->has_unknown = true;
    for (unsigned int i = 0; i < unknown_count; i++)
        if (unknown[i].address == in->address && unknown[i].encoding == in->encoding && unknown[i].block == b)
            return;
    if (unknown_count == MAX_UNKNOWN) {
        unknown_lost++;
        return;
    }
    unknown[unknown_count].address = in->address;
    unknown[unknown_count].encoding = in->encoding;
    unknown[unknown_count++].block = b;
}

static void mark_conditional(struct block *b, struct insn *in) {
    if (it.left) {
        in->it = it.pattern & 1u ? IT_ELSE : IT_THEN;
        in->it_block = it.number;
        it.left--;
        it.pattern >>= 1;
        if ((in->flags & (F_LOAD | F_STORE)) && b->conditional_accesses < 31)
            in->conditional_memory = ++b->conditional_accesses;
    }
    if (in->cls == C_IT)
        it = (struct it_state){in->it_count, in->it_pattern, (uint8_t)(it.number + 1)};
}

static void place_in_cache(struct block *b) {
    if (!config.memory)
        return;
    struct region *region = memory_find(b->start);
    if (region == &elsewhere || !region->fetch_wait || region->fetch_cache == NO_CACHE)
        return;
    uint32_t sector = caches[region->fetch_cache].sector_bytes;
    uint32_t ahead = core.rules[R_FETCH_BUFFER_WORDS] ? 4 : 0;
    uint32_t last = b->fall_through - 1 + ahead - region->base;
    b->region = region;
    b->first_sector = (b->start - region->base) / sector;
    b->last_sector = (last < region->size ? last : region->size - 1) / sector;
    b->reads_target = core.rules[R_SPECULATIVE_SLOT] && b->end == END_CONDITIONAL &&
                      (b->insns[b->count - 1].flags & F_DECODE_SPECULATED) && b->target - region->base < region->size;
    b->target_sector = (b->target - region->base) / sector;
}

struct block *block_begin(uint32_t start, size_t count) {
    struct block *b = calloc(1, sizeof *b);
    if (!b || !count || count > MAX_BLOCK || !(b->insns = calloc(count, sizeof *b->insns))) {
        free(b);
        return NULL;
    }
    b->start = start;
    b->count = (uint16_t)count;
    it = (struct it_state){0, 0, 0};
    for (unsigned int i = 0; i < sizeof it_carry / sizeof *it_carry; i++)
        if (it_carry[i].state.left && it_carry[i].address == start)
            it = it_carry[i].state;
    return b;
}

struct insn *block_decode(struct block *b, size_t index, uint32_t address, const uint8_t *code) {
    struct insn *in = &b->insns[index];
    insn_decode(in, address, code);
    mark_conditional(b, in);
    in->follows = index && ((in - 1)->flags & (F_LOAD | F_STORE));
    in->joins = index && core.pipe == PIPE_SINGLE && pipe_single_joins(in - 1, in);
    if (!core.rows[in->cls].present)
        note_unknown(b, in);
    return in;
}

void block_end(struct block *b) {
    const struct insn *last = &b->insns[b->count - 1];
    b->fall_through = last->address + last->size;
    b->end = last->end;
    b->target = last->target;
    b->always_leaves = last->end > END_CONDITIONAL && last->it == IT_NONE;
    b->ends_call = (last->cls == C_CALL || last->cls == C_BRANCH_REGISTER) && (last->flags & F_CALL);
    b->may_return = last->flags & F_RETURN;
    b->begins_with_access = b->insns[0].flags & (F_LOAD | F_STORE);
    b->function = profile_find(b->start);
    b->is_entry = b->function->size && b->function->start == b->start;
    b->traced = engine_traces(b->start, b->fall_through);
    place_in_cache(b);
    if (it.left) {
        unsigned int slot = b->fall_through / 1024 % (sizeof it_carry / sizeof *it_carry);
        it_carry[slot].address = b->fall_through;
        it_carry[slot].state = it;
    }
    b->next = all_blocks;
    all_blocks = b;
}
