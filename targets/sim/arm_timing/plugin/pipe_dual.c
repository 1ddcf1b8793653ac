/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In-order pipelines with a scoreboard, one or two instructions a cycle: Cortex-M33, M55, M7.
 *
 * An instruction issues when its sources are ready, its unit is free and, in the same cycle as the one before it, when
 * the core may pair the two. It holds its unit for the cycles of its row; dependents wait for the row's latency.
 * Branch prediction is the caller's (plugin.c), because it depends on what ran before. */
#include "memory.h"
#include "timing.h"

#include <string.h>

enum { SHORTEST = -8 };

struct board {
    const struct run *run;
    int64_t cycle;      /* of the last issue */
    unsigned int slots; /* instructions issued in it */
    const struct insn *last;
    int64_t ready[16], ready_address[16], ready_fp[8], ready_flags;
    int64_t unit_free[UNIT_COUNT];
    unsigned int event;
    uint32_t sector; /* instruction sector fetched last, + 1 */
};

static int64_t later(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int rule(enum rule r) {
    return core.rules[r];
}

static const struct row *row_of(const struct insn *in) {
    static const struct row missing = {false, 1, 0, 1, UNIT_ALONE};
    return core.rows[in->cls].present ? &core.rows[in->cls] : &missing;
}

static void restore(struct board *b, const struct run *run) {
    const struct pipe_state *s = run->in;
    memset(b, 0, sizeof *b);
    b->run = run;
    b->cycle = -1;
    b->slots = (unsigned int)rule(R_ISSUE_WIDTH); /* nothing joins the last cycle of the block before */
    for (unsigned int r = 0; r < 16; r++) {
        b->ready[r] = s->ready[r];
        b->ready_address[r] = s->ready_address[r];
    }
    for (unsigned int q = 0; q < 8; q++)
        b->ready_fp[q] = s->ready_fp[q];
    for (unsigned int u = 0; u < UNIT_COUNT; u++)
        b->unit_free[u] = s->unit_free[u];
    b->ready_flags = s->ready_flags;
}

static int8_t clip(int64_t time) {
    return (int8_t)(time < 0 ? 0 : time > 120 ? 120 : time);
}

static int64_t end_of(const struct board *b) {
    return later(b->cycle + 1, b->unit_free[UNIT_ALONE]);
}

static void save(const struct board *b, struct pipe_state *s, int64_t end) {
    memset(s, 0, sizeof *s);
    for (unsigned int r = 0; r < 16; r++) {
        s->ready[r] = clip(b->ready[r] - end);
        s->ready_address[r] = clip(b->ready_address[r] - end);
    }
    for (unsigned int q = 0; q < 8; q++)
        s->ready_fp[q] = clip(b->ready_fp[q] - end);
    for (unsigned int u = 0; u < UNIT_COUNT; u++)
        s->unit_free[u] = clip(b->unit_free[u] - end);
    s->ready_flags = clip(b->ready_flags - end);
}

static bool is_free_rider(const struct insn *in) {
    return in->cls == C_NOP || in->cls == C_IT || in->cls == C_BRANCH || in->cls == C_BRANCH_CONDITIONAL;
}

/* ADD and SUB of an immediate, MOV, UXTB ...: what the Cortex-M55 pairs with any 16-bit instruction. */
static bool is_simple(const struct insn *in) {
    return in->cls == C_EXTEND || (in->cls == C_ALU && __builtin_popcount(in->data_reads) <= 1);
}

/* How many instructions of one unit a cycle takes: two plain ALUs and two load ports where two issue at all. */
static bool units_pair(const struct insn *a, const struct insn *b) {
    uint8_t x = row_of(a)->unit, y = row_of(b)->unit;
    if (x == UNIT_ALONE || y == UNIT_ALONE)
        return false;
    return x != y || x == UNIT_ANY || x == UNIT_ALU || x == UNIT_MEMORY;
}

/* May `in` issue in the cycle of the instruction before it? */
static bool may_pair(const struct board *b, const struct insn *in) {
    const struct insn *older = b->last;
    if (!older || b->slots >= (unsigned int)rule(R_ISSUE_WIDTH) || !units_pair(older, in))
        return false;
    if (!rule(R_DUAL_NARROW_ONLY))
        return true;
    if (in->size != 2 || older->size != 2)
        return false;
    bool rides = is_free_rider(in) || older->cls == C_NOP;
    if (rule(R_DUAL_NARROW_ONLY) == 2)
        rides = rides || is_simple(in) || is_simple(older);
    if (!rides)
        return false;
    return !(in->cls == C_BRANCH_CONDITIONAL && b->run->taken && (older->flags & F_SETS_FLAGS));
}

/* A simple operation's result reaches a second one in the same cycle: early and late ALU. */
static bool forwards_at_once(const struct insn *older, const struct insn *in) {
    return rule(R_LATE_ALU) && older && (older->cls == C_ALU || older->cls == C_SHIFT) &&
           (in->cls == C_ALU || in->cls == C_COMPARE || (in->flags & F_STORE));
}

static int64_t sources_ready(const struct board *b, const struct insn *in) {
    int64_t at = 0;
    uint16_t data = (uint16_t)(in->data_reads & ~in->accumulator);
    if (forwards_at_once(b->last, in))
        data &= (uint16_t)~b->last->writes;
    for (unsigned int r = 0; r < 15; r++) {
        if (data >> r & 1u)
            at = later(at, b->ready[r]);
        if (in->accumulator >> r & 1u) /* an accumulator is needed a cycle late */
            at = later(at, b->ready[r] - 1);
        if (in->address_reads >> r & 1u)
            at = later(at, b->ready_address[r]);
    }
    for (unsigned int q = 0; q < 8 && in->fp_reads; q++)
        if (in->fp_reads >> (4 * q) & 15u)
            at = later(at, b->ready_fp[q]);
    if (in->flags & F_READS_FLAGS && in->end == END_NONE)
        at = later(at, b->ready_flags);
    return at;
}

static void write_results(struct board *b, const struct insn *in, int64_t at, int latency) {
    /* Sums and moves come from the early ALU, in time for the next address. */
    int64_t address = in->cls == C_ALU ? 0 : rule(R_ADDRESS_LATENCY);
    for (unsigned int r = 0; r < 15; r++) {
        if (in->writes >> r & 1u) {
            b->ready[r] = at + latency;
            b->ready_address[r] = at + latency + address;
        }
        if (in->writeback >> r & 1u)
            b->ready[r] = b->ready_address[r] = at + 1;
    }
    for (unsigned int q = 0; q < 8 && in->fp_writes; q++)
        if (in->fp_writes >> (4 * q) & 15u)
            b->ready_fp[q] = at + latency;
    if (in->flags & F_SETS_FLAGS)
        b->ready_flags = at + 1;
}

static int64_t fetch_wait(struct board *b, const struct insn *in) {
    struct region *region = b->run->block->region;
    if (!b->run->fetch_waits || !region)
        return 0;
    uint32_t last = in->address + in->size - 2;
    uint32_t sector = (last - region->base) / caches[region->fetch_cache].sector_bytes + 1;
    if (sector == b->sector)
        return 0;
    b->sector = sector;
    int64_t at = b->run->now + b->cycle;
    return memory_fetch(region, last, at) - at - 1;
}

static int64_t data_wait(struct board *b, unsigned int index) {
    int64_t sum = 0;
    const struct run *run = b->run;
    while (b->event < run->event_count && run->events[b->event].insn <= index) {
        const struct data_event *e = &run->events[b->event++];
        sum += e->region ? memory_array_wait(e->region, e->wait, run->now + b->cycle + sum) : e->wait;
    }
    return sum;
}

static void issue(struct board *b, const struct insn *in, unsigned int index) {
    const struct row *row = row_of(in);
    bool executed = in->it == IT_NONE || run_executes(b->run, in);
    int64_t waited = fetch_wait(b, in);
    int64_t at = executed ? sources_ready(b, in) : 0;
    at = later(at, later(b->unit_free[row->unit], b->unit_free[UNIT_ALONE]));
    if (at <= b->cycle && !waited && may_pair(b, in)) {
        b->slots++;
    } else {
        b->cycle = later(at, b->cycle + 1) + waited;
        b->slots = 1;
    }
    if (b->run->starts)
        b->run->starts[index] = (int32_t)b->cycle;
    b->last = in;
    if (!executed)
        return;
    int words = rule(R_MULTIPLE_WORDS) ? rule(R_MULTIPLE_WORDS) : 1;
    int64_t cycles = row->cycles + row->per_register * ((in->registers + words - 1) / words);
    int64_t wait = data_wait(b, index);
    int latency = row->latency;
    if ((in->flags & (F_LOAD | F_NARROW_DATA)) == (F_LOAD | F_NARROW_DATA))
        latency += rule(R_NARROW_LOAD_LATENCY);
    write_results(b, in, b->cycle + wait, latency);
    /* A missing sector stops an in-order core; an instruction that issues alone holds every slot. */
    if (wait || row->unit == UNIT_ALONE)
        b->unit_free[UNIT_ALONE] = b->cycle + cycles + wait;
    else if (row->unit != UNIT_ANY && row->unit != UNIT_ALU && row->unit != UNIT_MEMORY)
        b->unit_free[row->unit] = b->cycle + cycles;
}

int64_t pipe_dual_run(const struct run *run) {
    struct board b;
    restore(&b, run);
    for (unsigned int i = 0; i < run->block->count; i++)
        issue(&b, &run->block->insns[i], i);
    int64_t end = end_of(&b);
    save(&b, run->out, end);
    return end;
}
