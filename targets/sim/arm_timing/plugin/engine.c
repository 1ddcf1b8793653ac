/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A block is timed when the next one begins, because only then is it known where its last instruction went and which
 * of its conditional accesses happened. Its cycles depend on the state of the pipeline at its start; they are kept
 * for the few states that occur, so that most blocks cost one table look-up. */
#include "engine.h"
#include "config.h"

#include <string.h>

enum { MAX_STATES = 32768, MAX_EVENTS = 1024, STATE_HASH = 65536 };

struct engine engine = {.lowest_store = UINT32_MAX};

_Static_assert(sizeof(struct pipe_state) % 8 == 0, "states are hashed by words");
static struct pipe_state states[MAX_STATES];
static uint16_t state_hash[STATE_HASH];

static struct block *current;
static uint16_t entry_state;
static uint32_t executed_mask;
static struct data_event events[MAX_EVENTS];
static unsigned int event_count;
static struct region *access_before; /* region of the last access */
static FILE *trace_out;

static uint16_t intern(const struct pipe_state *s) {
    uint64_t words[sizeof *s / 8], mixed = 0;
    memcpy(words, s, sizeof *s);
    for (size_t i = 0; i < sizeof *s / 8; i++)
        mixed = (mixed ^ words[i]) * 0x9E3779B97F4A7C15u;
    uint32_t hash = (uint32_t)(mixed >> 32);
    for (uint32_t slot = hash % STATE_HASH;; slot = (slot + 1) % STATE_HASH) {
        uint16_t id = state_hash[slot];
        if (!id) {
            if (engine.states == MAX_STATES - 1)
                return 0; /* far more than ever occur; fall back to a plain entry */
            states[engine.states] = *s;
            state_hash[slot] = (uint16_t)(engine.states + 1);
            return (uint16_t)engine.states++;
        }
        if (!memcmp(&states[id - 1], s, sizeof *s))
            return (uint16_t)(id - 1);
    }
}

static int64_t time_block(struct run *run, uint16_t *exit_state) {
    struct pipe_state out;
    run->out = &out;
    int64_t cycles = core.pipe == PIPE_SINGLE ? pipe_single_run(run) : pipe_dual_run(run);
    *exit_state = intern(&out);
    return cycles;
}

static void write_trace(const struct block *b, const int32_t *starts) {
    for (unsigned int i = 0; i < b->count; i++) {
        const struct insn *in = &b->insns[i];
        if (in->address < config.trace_low || in->address >= config.trace_high)
            continue;
        if (!config.trace_limit)
            return;
        config.trace_limit--;
        fprintf(trace_out, "%lld %x %s\n", (long long)(engine.cycles + starts[i]), in->address,
                insn_class_name(in->cls));
    }
}

/* The block with everything that happened in it, instruction by instruction. */
static int64_t time_fully(struct block *b, bool taken, bool fetch_waits, uint16_t *exit_state) {
    static int32_t starts[MAX_BLOCK];
    struct run run = {.block = b,
                      .in = &states[entry_state],
                      .taken = taken,
                      .executed = executed_mask,
                      .fetch_waits = fetch_waits,
                      .now = engine.cycles,
                      .events = events,
                      .event_count = event_count,
                      .starts = b->traced ? starts : NULL};
    int64_t cycles = time_block(&run, exit_state);
    engine.full_runs++;
    if (b->traced)
        write_trace(b, starts);
    return cycles;
}

static struct outcome *time_once(struct block *b, bool taken, uint64_t key) {
    struct outcome *o = &b->outcomes[0];
    for (unsigned int i = 0; i < OUTCOMES; i++, o++) {
        if (o->used && o->key == key)
            return o;
        if (!o->used)
            break;
    }
    if (o == &b->outcomes[OUTCOMES])
        o = &b->outcomes[key % OUTCOMES];
    struct run run = {.block = b, .in = &states[entry_state], .taken = taken, .executed = executed_mask};
    o->cycles = (uint32_t)time_block(&run, &o->exit_state);
    o->key = key;
    o->used = true;
    return o;
}

/* What a block's accesses wait, whose instructions begin evenly over the `cycles` that it takes without. */
static inline int64_t event_waits(const struct block *b, int64_t cycles) {
    int64_t sum = 0;
    for (unsigned int i = 0; i < event_count; i++) {
        int64_t at = engine.cycles + sum + events[i].insn * cycles / b->count;
        sum += events[i].region ? memory_array_wait(events[i].region, events[i].wait, at) : events[i].wait;
    }
    return sum;
}

static void finish_block(struct block *b, bool taken, uint32_t target) {
    int64_t cycles;
    bool fetch_waits =
        b->region && (!memory_block_resident(b) || (b->reads_target && !taken && !memory_target_resident(b)));
    if (__builtin_expect(fetch_waits || b->traced, 0)) {
        cycles = time_fully(b, taken, fetch_waits, &entry_state);
    } else {
        uint64_t key = (uint64_t)entry_state << 1 | taken | (uint64_t)executed_mask << 32;
        struct outcome *o = &b->outcomes[0];
        if (__builtin_expect(!o->used || o->key != key, 0))
            o = time_once(b, taken, key);
        cycles = o->cycles;
        entry_state = o->exit_state;
        if (event_count)
            cycles += event_waits(b, cycles);
    }
    if (core.pipe == PIPE_DUAL)
        cycles += predict_branch(b, taken, target);
    event_count = 0;
    executed_mask = 0;
    b->runs++;
    b->cycles += (uint64_t)cycles;
    engine.cycles += cycles;
    engine.instructions += b->count;
}

bool engine_start(void) {
    struct pipe_state reset;
    if (config.trace_high > config.trace_low && !(trace_out = fopen(config.trace_file, "w")))
        return false;
    memset(&reset, 0, sizeof reset);
    reset.entry = ENTER_LOAD;
    entry_state = intern(&reset);
    return true;
}

void engine_stop(void) {
    if (trace_out)
        fclose(trace_out);
    trace_out = NULL;
}

bool engine_traces(uint32_t from, uint32_t to) {
    return trace_out && from < config.trace_high && to > config.trace_low;
}

static struct moment now(void) {
    return (struct moment){engine.cycles, engine.instructions};
}

/* QEMU ends a block where a page ends, in the middle of a loop too: whether the first access of what goes on there
 * joins or follows the last one of the block before is known only now. */
static void note_neighbours(const struct block *before, struct block *b) {
    const struct insn *last = &before->insns[before->count - 1];
    struct insn *in = &b->insns[0];
    bool goes_on = last->end == END_NONE && b->start == before->fall_through;
    in->follows = goes_on && (last->flags & (F_LOAD | F_STORE));
    in->joins = goes_on && core.pipe == PIPE_SINGLE && pipe_single_joins(last, in);
}

void engine_enter(struct block *b) {
    struct block *before = current;
    if (__builtin_expect(before != NULL, 1)) {
        if (b->begins_with_access)
            note_neighbours(before, b);
        bool taken = before->always_leaves || b->start != before->fall_through;
        finish_block(before, taken, b->start);
        if (before->ends_call | before->may_return | b->is_entry)
            profile_transfer(before, b, taken, now());
    }
    current = b;
}

void engine_finish(void) {
    if (current)
        finish_block(current, true, 0);
    current = NULL;
    profile_finish(now());
}

static void wait_event(const struct insn *in, uint16_t wait, struct region *array) {
    if (event_count < MAX_EVENTS && current)
        events[event_count++] = (struct data_event){(uint16_t)(in - current->insns), wait, array};
}

static void unaligned_access(const struct insn *in, uint32_t address, unsigned int size, bool store) {
    unsigned int extra = 0;
    if (size == 2)
        extra = (unsigned int)core.rules[R_UNALIGNED_HALFWORD];
    else if (size == 4)
        extra = (unsigned int)core.rules[address & 1u ? R_UNALIGNED_WORD_ODD : R_UNALIGNED_WORD];
    engine.unaligned++;
    if (extra && (!store || core.rules[R_UNALIGNED_STORE]))
        wait_event(in, (uint16_t)extra, NULL);
}

/* A slave of the bus matrix that was idle must be granted first; the words of one instruction go on without that. */
static void wait_for_grant(const struct insn *in, const struct region *region, const struct region *before) {
    static const struct insn *multiple;
    static uint64_t multiple_at;
    bool next_word = in == multiple && engine.instructions == multiple_at;
    multiple = in;
    multiple_at = engine.instructions;
    if (!next_word && !(in->follows && region == before))
        wait_event(in, region->grant_cycles, NULL);
}

/* QEMU loads the elements of a vector one by one; where they lie side by side, two words of them come at once. */
static bool came_with_vector(const struct insn *in, uint32_t address) {
    static const struct insn *vector;
    static uint64_t vector_at;
    static uint32_t two_words;
    bool came = in == vector && engine.instructions == vector_at && address / 8 == two_words;
    vector = in;
    vector_at = engine.instructions;
    two_words = address / 8;
    return came;
}

static void count_load(const struct insn *in, struct region *region, const struct region *before, uint32_t address) {
    region->loads++;
    if (region->grant_cycles)
        wait_for_grant(in, region, before);
    if (!region->data_wait || (in->cls == C_MVE_LOAD && came_with_vector(in, address)))
        return;
    if (region->data_cache == NO_CACHE) {
        wait_event(in, region->data_wait, region->is_flash ? region : NULL);
    } else if (!memory_data_lookup(region, address)) {
        region->data_misses++;
        wait_event(in, region->data_wait, region);
        if (region->lookup)
            wait_event(in, region->lookup, NULL);
    }
}

void engine_executed(const struct insn *in) {
    executed_mask |= 1u << (in->conditional_memory - 1);
}

void engine_access(const struct insn *in, uint32_t address, unsigned int size, bool store) {
    static struct region *recent = &elsewhere;
    struct region *region = recent;
    if (address - region->base >= region->size)
        recent = region = memory_find(address);
    if (in->conditional_memory)
        engine_executed(in);
    if (in->joins && region != access_before && core.rules[R_BLOCK_CHANGE])
        wait_event(in, (uint16_t)core.rules[R_BLOCK_CHANGE], NULL);
    const struct region *before = access_before;
    access_before = region;
    if (store) {
        region->stores++;
        if (address < engine.lowest_store && address >= config.stack_low && address < config.stack_high)
            engine.lowest_store = address;
    } else {
        count_load(in, region, before, address);
    }
    if (__builtin_expect(address & (size - 1), 0))
        unaligned_access(in, address, size, store);
}
