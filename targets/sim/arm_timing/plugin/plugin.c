/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Thimble's timing plugin for QEMU: what QEMU calls, and the report. Arguments: config=FILE,out=FILE.
 *
 * A block is timed when the next one begins, because only then is it known where its last instruction went and which
 * of its conditional accesses happened. Its cycles depend on the state of the pipeline at its start; they are kept
 * for the few states that occur, so that most blocks cost one table look-up. */
#include "config.h"
#include "memory.h"
#include "profile.h"
#include "qemu_api.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_STATES = 32768, MAX_EVENTS = 1024, MAX_UNKNOWN = 64, STATE_HASH = 65536 };

QEMU_PLUGIN_EXPORT int qemu_plugin_version = 1;

_Static_assert(sizeof(struct pipe_state) % 8 == 0, "states are hashed by words");
static struct pipe_state states[MAX_STATES];
static unsigned int state_count;
static uint16_t state_hash[STATE_HASH];

static struct block *all_blocks, *current;
static uint16_t entry_state;
static uint32_t executed_mask;
static struct data_event events[MAX_EVENTS];
static unsigned int event_count;
static int64_t cycles_total;
static uint64_t instructions_total;
static uint32_t lowest_store = UINT32_MAX;
static struct region *access_before; /* region of the last access */
static uint64_t divides, slow_runs, unaligned;
static FILE *trace_out;
static char out_path[1024];

/* IT blocks that cross into the next translated block. */
static struct {
    uint32_t address;
    uint8_t left, pattern, first;
} it_carry[256];

static struct {
    uint32_t address, encoding;
    struct block *block;
} unknown[MAX_UNKNOWN];
static unsigned int unknown_count, unknown_lost;

static uint16_t intern(const struct pipe_state *s) {
    uint64_t words[sizeof *s / 8], mixed = 0;
    memcpy(words, s, sizeof *s);
    for (size_t i = 0; i < sizeof *s / 8; i++)
        mixed = (mixed ^ words[i]) * 0x9E3779B97F4A7C15u;
    uint32_t hash = (uint32_t)(mixed >> 32);
    for (uint32_t slot = hash % STATE_HASH;; slot = (slot + 1) % STATE_HASH) {
        uint16_t id = state_hash[slot];
        if (!id) {
            if (state_count == MAX_STATES - 1)
                return 0; /* far more than ever occur; fall back to a plain entry */
            states[state_count] = *s;
            state_hash[slot] = (uint16_t)(state_count + 1);
            return (uint16_t)state_count++;
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
        fprintf(trace_out, "%lld %x %s\n", (long long)(cycles_total + starts[i]), in->address,
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
                      .now = cycles_total,
                      .events = events,
                      .event_count = event_count,
                      .starts = b->traced ? starts : NULL};
    int64_t cycles = time_block(&run, exit_state);
    slow_runs++;
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

static inline int64_t event_waits(void) {
    int64_t sum = 0;
    for (unsigned int i = 0; i < event_count; i++)
        sum += events[i].region
                   ? memory_array_wait(events[i].region, events[i].wait, cycles_total + sum + events[i].insn)
                   : events[i].wait;
    return sum;
}

/* Scoreboard pipes: cycles lost behind the branch that ends the block, which went to `target` if `taken`. */
static int64_t branch_cycles(struct block *b, bool taken, uint32_t target) {
    if (b->end == END_NONE)
        return 0;
    if (b->insns[b->count - 1].cls == C_LOOP_END)
        return taken ? core.rules[R_LOOP_OVERHEAD] : core.rules[R_MISPREDICT];
    if (!core.rules[R_PREDICTOR])
        return taken ? (b->end <= END_DIRECT ? core.rules[R_TAKEN_BRANCH] : core.rules[R_MISPREDICT_INDIRECT]) : 0;
    if (b->end == END_CONDITIONAL) {
        bool predicted = b->counter >= 2;
        if (taken && b->counter < 3)
            b->counter++;
        else if (!taken && b->counter > 0)
            b->counter--;
        return predicted != taken ? core.rules[R_MISPREDICT] : taken ? core.rules[R_TAKEN_BRANCH] : 0;
    }
    if (!taken)
        return 0;
    bool known = b->end == END_DIRECT || b->may_return || b->last_target == target;
    b->last_target = target;
    return core.rules[known ? R_TAKEN_BRANCH : R_MISPREDICT_INDIRECT];
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
            cycles += event_waits();
    }
    if (core.pipe == PIPE_DUAL)
        cycles += branch_cycles(b, taken, target);
    event_count = 0;
    executed_mask = 0;
    b->runs++;
    b->cycles += (uint64_t)cycles;
    cycles_total += cycles;
    instructions_total += b->count;
}

static struct moment now(void) {
    return (struct moment){cycles_total, instructions_total};
}

static void on_block(unsigned int vcpu, void *userdata) {
    struct block *b = userdata;
    struct block *before = current;
    (void)vcpu;
    if (__builtin_expect(before != NULL, 1)) {
        bool taken = before->always_leaves || b->start != before->fall_through;
        finish_block(before, taken, b->start);
        if (before->ends_call | before->may_return | b->is_entry)
            profile_transfer(before, b, taken, now());
    }
    current = b;
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
    unaligned++;
    if (extra && (!store || core.rules[R_UNALIGNED_STORE]))
        wait_event(in, (uint16_t)extra, NULL);
}

static void on_access(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t vaddr, void *userdata) {
    const struct insn *in = userdata;
    uint32_t address = (uint32_t)vaddr;
    unsigned int size = 1u << qemu_plugin_mem_size_shift(info);
    bool store = qemu_plugin_mem_is_store(info);
    static struct region *recent = &elsewhere;
    struct region *region = recent;
    (void)vcpu;
    if (address - region->base >= region->size)
        recent = region = memory_find(address);
    if (in->conditional_memory)
        executed_mask |= 1u << (in->conditional_memory - 1);
    if (in->joins && region != access_before && core.rules[R_BLOCK_CHANGE])
        wait_event(in, (uint16_t)core.rules[R_BLOCK_CHANGE], NULL);
    access_before = region;
    if (store) {
        region->stores++;
        if (address < lowest_store && address >= config.stack_low && address < config.stack_high)
            lowest_store = address;
    } else {
        region->loads++;
        if (region->data_wait) {
            if (region->data_cache == NO_CACHE) {
                wait_event(in, region->data_wait, region->is_flash ? region : NULL);
            } else if (!memory_data_lookup(region, address)) {
                region->data_misses++;
                wait_event(in, region->data_wait, region);
                if (region->lookup)
                    wait_event(in, region->lookup, NULL);
            }
        }
    }
    if (__builtin_expect(address & (size - 1), 0))
        unaligned_access(in, address, size, store);
}

/* With memory modelling off: only whether a conditional access happened. */
static void on_conditional_access(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t vaddr, void *userdata) {
    const struct insn *in = userdata;
    (void)vcpu, (void)info, (void)vaddr;
    executed_mask |= 1u << (in->conditional_memory - 1);
}

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

struct it_state {
    uint8_t left, pattern, number;
};

static void mark_conditional(struct block *b, struct insn *in, struct it_state *it) {
    if (it->left) {
        in->it = it->pattern & 1u ? IT_ELSE : IT_THEN;
        in->it_block = it->number;
        it->left--;
        it->pattern >>= 1;
        if (in->end != END_NONE)
            in->flags &= (uint16_t)~F_CALL;
        if ((in->flags & (F_LOAD | F_STORE)) && b->conditional_accesses < 31)
            in->conditional_memory = ++b->conditional_accesses;
    }
    if (in->cls == C_IT)
        *it = (struct it_state){in->it_count, in->it_pattern, (uint8_t)(it->number + 1)};
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

static void describe(struct block *b) {
    const struct insn *last = &b->insns[b->count - 1];
    b->fall_through = last->address + last->size;
    b->end = last->end;
    b->target = last->target;
    b->always_leaves = last->end > END_CONDITIONAL && last->it == IT_NONE;
    b->ends_call = (last->cls == C_CALL || last->cls == C_BRANCH_REGISTER) && (last->flags & F_CALL);
    b->may_return = last->flags & F_RETURN;
    b->function = profile_find(b->start);
    b->is_entry = b->function->size && b->function->start == b->start;
    b->traced = trace_out && b->start < config.trace_high && b->fall_through > config.trace_low;
    place_in_cache(b);
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    size_t count = qemu_plugin_tb_n_insns(tb);
    struct block *b = calloc(1, sizeof *b);
    struct it_state it = {0, 0, 0};
    (void)id;
    if (!b || !count || count > MAX_BLOCK || !(b->insns = calloc(count, sizeof *b->insns)))
        abort();
    b->start = (uint32_t)qemu_plugin_tb_vaddr(tb);
    b->count = (uint16_t)count;
    for (unsigned int i = 0; i < sizeof it_carry / sizeof *it_carry; i++)
        if (it_carry[i].left && it_carry[i].address == b->start)
            it = (struct it_state){it_carry[i].left, it_carry[i].pattern, 0};
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *q = qemu_plugin_tb_get_insn(tb, i);
        struct insn *in = &b->insns[i];
        insn_decode(in, (uint32_t)qemu_plugin_insn_vaddr(q), qemu_plugin_insn_data(q));
        mark_conditional(b, in, &it);
        in->joins = i && core.pipe == PIPE_SINGLE && pipe_single_joins(&b->insns[i - 1], in);
        if (!core.rows[in->cls].present)
            note_unknown(b, in);
        if (config.memory)
            qemu_plugin_register_vcpu_mem_cb(q, on_access, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW, in);
        else if (in->conditional_memory)
            qemu_plugin_register_vcpu_mem_cb(q, on_conditional_access, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW, in);
    }
    describe(b);
    if (it.left) {
        unsigned int slot = b->fall_through / 1024 % (sizeof it_carry / sizeof *it_carry);
        it_carry[slot].address = b->fall_through;
        it_carry[slot].left = it.left;
        it_carry[slot].pattern = it.pattern;
    }
    b->next = all_blocks;
    all_blocks = b;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, QEMU_PLUGIN_CB_NO_REGS, b);
}

static uint64_t sum_blocks(void) {
    uint64_t instructions = 0;
    for (struct block *b = all_blocks; b; b = b->next) {
        instructions += b->runs * b->count;
        b->function->instructions += b->runs * b->count;
        b->function->self_cycles += b->cycles;
        for (unsigned int i = 0; i < b->count; i++)
            if (b->insns[i].cls == C_DIVIDE)
                divides += b->runs;
    }
    return instructions;
}

static void write_memory(FILE *out) {
    const char *separator = "";
    fprintf(out, "\"regions\": [");
    for (unsigned int i = 0; i <= region_count; i++) {
        const struct region *r = i < region_count ? &regions[i] : &elsewhere;
        fprintf(out,
                "%s\n  {\"name\": \"%s\", \"loads\": %llu, \"stores\": %llu, \"fetch_misses\": %llu, "
                "\"data_misses\": %llu}",
                separator, r->name, (unsigned long long)r->loads, (unsigned long long)r->stores,
                (unsigned long long)r->fetch_misses, (unsigned long long)r->data_misses);
        separator = ",";
    }
    fprintf(out, "],\n");
}

static void write_unknown(FILE *out) {
    const char *separator = "";
    fprintf(out, "\"unknown\": [");
    for (unsigned int i = 0; i < unknown_count; i++)
        if (unknown[i].block->runs) {
            fprintf(out, "%s\n  {\"address\": %u, \"encoding\": \"%08x\", \"runs\": %llu}", separator,
                    unknown[i].address, unknown[i].encoding, (unsigned long long)unknown[i].block->runs);
            separator = ",";
        }
    fprintf(out, "],\n\"unknown_not_listed\": %u,\n", unknown_lost);
}

static void on_exit_report(qemu_plugin_id_t id, void *userdata) {
    (void)id, (void)userdata;
    if (current)
        finish_block(current, true, 0);
    current = NULL;
    profile_finish(now());
    FILE *out = fopen(out_path, "w");
    if (!out)
        return;
    uint64_t instructions = sum_blocks();
    fprintf(out, "{\"instructions\": %llu,\n\"cycles\": %lld,\n\"divides\": %llu,\n\"unaligned\": %llu,\n",
            (unsigned long long)instructions, (long long)cycles_total, (unsigned long long)divides,
            (unsigned long long)unaligned);
    fprintf(out, "\"peak_stack_bytes\": %ld,\n\"states\": %u,\n\"full_runs\": %llu,\n",
            lowest_store == UINT32_MAX ? -1L : (long)(config.stack_high - lowest_store), state_count,
            (unsigned long long)slow_runs);
    write_memory(out);
    write_unknown(out);
    profile_write(out);
    fprintf(out, "\n}\n");
    fclose(out);
    if (trace_out)
        fclose(trace_out);
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
    (void)info;
    bool configured = false;
    for (int i = 0; i < argc; i++) {
        if (!strncmp(argv[i], "config=", 7))
            configured = config_read(argv[i] + 7);
        else if (!strncmp(argv[i], "out=", 4))
            snprintf(out_path, sizeof out_path, "%s", argv[i] + 4);
    }
    if (!configured || !out_path[0])
        return -1;
    if (config.trace_high > config.trace_low && !(trace_out = fopen(config.trace_file, "w")))
        return -1;
    struct pipe_state reset;
    memset(&reset, 0, sizeof reset);
    reset.entry = ENTER_LOAD;
    entry_state = intern(&reset);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    qemu_plugin_register_atexit_cb(id, on_exit_report, NULL);
    return 0;
}
