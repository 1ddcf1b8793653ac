/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Single-issue pipelines: Cortex-M0+, M3, M4.
 *
 * An instruction is decoded while its predecessor executes. All times are cycles relative to the end of the block
 * before. A branch's P (TRM table 3-1) is not charged as such: it follows from when the target's address phase can be,
 * from the width and alignment of the target, and from the memory that holds it. */
#include "memory.h"
#include "prefetch.h"
#include "timing.h"

#include <string.h>

struct pipe {
    const struct run *run;
    struct prefetch fetch;
    int64_t start, end;    /* of the last instruction in execute; end: first cycle for the next */
    uint16_t late_address; /* registers of the last instruction that cannot form an address before address_at */
    int64_t address_at;
    uint32_t late_fp; /* FP registers of the last instruction that cannot be read before fp_at */
    int64_t fp_at;
    int64_t fp_busy;
    bool narrow, load_pending, lr_late;
    int64_t load_data_end, store_data_end; /* of a load or store that is still on its way; else in the past */
    uint8_t nop_credit;
    uint16_t load_writes;
    unsigned int event;
};

bool run_executes(const struct run *run, const struct insn *in) {
    if (in->it == IT_NONE)
        return true;
    const struct block *b = run->block;
    bool evidence = false, same = false;
    if (in == &b->insns[b->count - 1] && in->end != END_NONE)
        return run->taken;
    if (in->conditional_memory)
        return run->executed >> (in->conditional_memory - 1) & 1u;
    /* Another access of the same IT block tells whether this side of it ran. */
    for (unsigned int i = 0; i < b->count && !evidence; i++) {
        const struct insn *other = &b->insns[i];
        if (!other->conditional_memory || other->it_block != in->it_block)
            continue;
        evidence = true;
        same = (run->executed >> (other->conditional_memory - 1) & 1u) == (other->it == in->it);
    }
    return !evidence || same;
}

static int64_t later(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int rule(enum rule r) {
    return core.rules[r];
}

static void restore(struct pipe *p, const struct run *run) {
    const struct pipe_state *s = run->in;
    static const enum rule refill[] = {R_COUNT, R_REFILL_DECODE, R_REFILL_EXECUTE, R_REFILL_LOAD};
    memset(p, 0, sizeof *p);
    p->run = run;
    prefetch_begin(&p->fetch, run);
    p->start = -1;
    p->load_data_end = p->store_data_end = LONG_AGO;
    p->fp_busy = s->fp_busy;
    if (s->entry != ENTER_NEXT) {
        p->fetch.redirected = true;
        /* The target's address phase is three cycles before its execute stage. */
        p->fetch.bus_free = later(rule(refill[s->entry]) - 3, s->bus_free);
        if (!rule(R_FETCH_BUFFER_WORDS))
            p->end = rule(refill[s->entry]);
        return;
    }
    p->fetch.issued = s->fetched;
    for (unsigned int i = 0; i < s->fetched; i++)
        p->fetch.ready[i] = s->word_ready[i];
    p->fetch.bus_free = s->bus_free;
    p->narrow = s->narrow;
    p->load_pending = s->load_pending;
    p->load_writes = s->load_writes;
    p->load_data_end = s->load_pending ? 1 : LONG_AGO;
    p->store_data_end = s->store_pending ? 1 : LONG_AGO;
    p->late_address = s->late_address;
    p->late_fp = s->late_fp;
    p->address_at = p->fp_at = 1;
}

static int8_t clip(int64_t time) {
    return (int8_t)(time < LONG_AGO ? LONG_AGO : time > 100 ? 100 : time);
}

static void save_taken(struct pipe *p, const struct insn *last, struct pipe_state *s) {
    /* LR written right before cannot be read in decode: TRM-M3 table 15-3. */
    bool late_return = last->end == END_RETURN && p->lr_late;
    int64_t redirect = p->start;
    if (last->end == END_LOAD || last->end == END_TABLE) {
        s->entry = ENTER_LOAD;
        redirect = p->end;
    } else if ((last->flags & F_DECODE_SPECULATED) && !late_return) {
        s->entry = ENTER_DECODE;
        redirect = p->start - 1;
    } else {
        s->entry = ENTER_EXECUTE;
    }
    if (rule(R_FETCH_BUFFER_WORDS) && p->run->fetch_waits) {
        prefetch_until(&p->fetch, redirect);
        s->bus_free = clip(p->fetch.bus_free - p->end);
    } else {
        s->bus_free = LONG_AGO;
    }
}

static void save_next(struct pipe *p, const struct insn *last, struct pipe_state *s) {
    if (rule(R_FETCH_BUFFER_WORDS)) {
        uint32_t next = p->fetch.consumed / 2;
        if (rule(R_SPECULATIVE_SLOT) && last->end == END_CONDITIONAL && (last->flags & F_DECODE_SPECULATED)) {
            /* The branch's target took the slot of its last decode cycle, and was read in vain. */
            int64_t slot = p->start - 1;
            p->fetch.skip = slot;
            if (p->run->fetch_waits) {
                prefetch_until(&p->fetch, slot);
                slot = later(slot, p->fetch.bus_free);
                p->fetch.bus_free = prefetch_read(&p->fetch, last->target, slot);
            }
        }
        prefetch_until(&p->fetch, p->end);
        s->bus_free = clip(later(p->fetch.bus_free, prefetch_time(&p->fetch, p->fetch.issued)) - p->end);
        for (uint32_t word = next; word < p->fetch.issued; word++)
            s->word_ready[s->fetched++] = clip(p->fetch.ready[word % PREFETCH_RING] - p->end);
    }
    s->narrow = p->narrow;
    s->load_pending = p->load_pending;
    s->load_writes = p->load_pending ? p->load_writes : 0;
    s->store_pending = p->store_data_end > p->end;
    s->late_address = p->address_at > p->end ? p->late_address : 0;
    s->late_fp = p->fp_at > p->end ? p->late_fp : 0;
}

static void save(struct pipe *p, struct pipe_state *s) {
    const struct insn *last = &p->run->block->insns[p->run->block->count - 1];
    memset(s, 0, sizeof *s);
    int64_t busy = p->fp_busy - p->end;
    s->fp_busy = (int8_t)(busy > 0 ? busy : 0);
    if (p->run->taken && last->end != END_NONE)
        save_taken(p, last, s);
    else
        save_next(p, last, s);
}

static bool is_single_load(const struct insn *in) {
    return in->cls == C_LOAD || in->cls == C_LOAD_LITERAL || in->cls == C_LOAD_EXCLUSIVE || in->cls == C_FP_LOAD;
}

static bool is_single_store(const struct insn *in) {
    return in->cls == C_STORE || in->cls == C_STORE_REGISTER || in->cls == C_STORE_EXCLUSIVE || in->cls == C_FP_STORE;
}

/* Cycles that this run's data accesses of instruction `index` wait for memory. */
static int64_t data_wait(struct pipe *p, unsigned int index, int64_t at) {
    int64_t sum = 0;
    const struct run *run = p->run;
    while (p->event < run->event_count && run->events[p->event].insn <= index) {
        const struct data_event *e = &run->events[p->event++];
        sum += e->region ? memory_array_wait(e->region, e->wait, run->now + at + sum) : e->wait;
    }
    return sum;
}

/* May `in` start while a load that writes `late` is in its data phase? */
static bool may_join(const struct insn *in, uint16_t late) {
    return rule(R_LOAD_PIPELINING) && (is_single_load(in) || is_single_store(in)) && !(in->address_reads & late) &&
           (!in->writeback || rule(R_WRITEBACK_PIPELINING));
}

bool pipe_single_joins(const struct insn *before, const struct insn *in) {
    return before->it == in->it && is_single_load(before) &&
           may_join(in, (uint16_t)(before->writes | before->writeback));
}

/* First cycle in which the instruction may execute, from the hazards with what went before. */
static int64_t hazards(const struct pipe *p, const struct insn *in, bool executed) {
    int64_t at = p->end;
    if (p->load_pending) {
        bool joins = executed && may_join(in, p->load_writes);
        if (!joins && !(in->cls == C_NOP && rule(R_NOP_UNDER_MEMORY)))
            at = later(at, p->load_data_end);
    }
    if (!executed)
        return at;
    if (p->store_data_end > at && (in->flags & F_LOAD))
        at = p->store_data_end;
    if (in->address_reads & p->late_address)
        at = later(at, p->address_at);
    if (in->flags & F_FP) {
        at = later(at, p->fp_busy);
        if (in->fp_reads & p->late_fp)
            at = later(at, p->fp_at);
    }
    return at;
}

static bool fp_arithmetic(const struct insn *in) {
    return in->cls >= C_FP_ADD && in->cls <= C_FP_CONVERT && in->cls != C_FP_COMPARE;
}

static int64_t full_cycles(const struct insn *in) {
    const struct row *row = &core.rows[in->cls];
    return row->present ? row->cycles + row->per_register * in->registers : 1;
}

/* Charge an executed instruction that starts at p->start, with `wait` cycles of waiting for memory. */
static void execute(struct pipe *p, const struct insn *in, int64_t wait) {
    int64_t cycles = full_cycles(in);
    p->load_pending = false;
    p->store_data_end = LONG_AGO;
    if (is_single_load(in) && cycles >= 2 && rule(R_LOAD_PIPELINING)) {
        /* Address phase now; the data phase is free for another access. */
        p->load_pending = true;
        p->load_writes = (uint16_t)(in->writes | in->writeback);
        p->end = p->start + 1 + wait;
        p->load_data_end = p->start + cycles + wait;
    } else if (is_single_store(in)) {
        p->end = p->start + cycles + wait;
        p->store_data_end = p->end + rule(R_STORE_LOAD_STALL);
        if (cycles > 1 && rule(R_NOP_UNDER_MEMORY))
            p->nop_credit = 1;
    } else if ((in->cls == C_FP_DIV || in->cls == C_FP_SQRT) && rule(R_FP_DIVIDE_OVERLAP)) {
        p->end = p->start + 1;
        p->fp_busy = p->start + cycles;
    } else {
        p->end = p->start + cycles + wait;
    }
    int64_t result = p->load_pending ? p->load_data_end : p->end;
    int64_t stall = in->flags & F_LOAD ? rule(R_LOAD_ADDRESS_STALL) : rule(R_ADDRESS_STALL);
    /* Of several loaded registers only the last comes late. */
    p->late_address = in->registers > 1 && in->writes ? reg_bit(31u - (uint32_t)__builtin_clz(in->writes)) : in->writes;
    p->address_at = result + stall;
    p->late_fp = fp_arithmetic(in) ? in->fp_writes : 0;
    p->fp_at = later(p->end, p->fp_busy) + rule(R_FP_RESULT_STALL);
}

static void step(struct pipe *p, const struct insn *in, unsigned int index) {
    bool executed = in->it == IT_NONE || run_executes(p->run, in);
    bool folded = in->cls == C_IT && p->narrow && rule(R_IT_FOLDING);
    uint8_t credit = p->nop_credit;
    p->nop_credit = 0;
    if (folded) {
        prefetch_decode(&p->fetch, in, p->start);
        p->narrow = true;
        if (p->run->starts)
            p->run->starts[index] = (int32_t)p->end;
        return;
    }
    int64_t decoded = prefetch_decode(&p->fetch, in, p->start);
    p->lr_late = (p->late_address & reg_bit(14)) != 0;
    int64_t wait = 0;
    p->start = later(hazards(p, in, executed), decoded + 1);
    if (!rule(R_FETCH_BUFFER_WORDS) && p->run->fetch_waits && p->fetch.region) {
        /* Fetch is not decoupled: the core waits for the word that holds the instruction's end. */
        uint32_t word = in->address + in->size - 2;
        p->start = memory_fetch(p->fetch.region, word, p->run->now + p->start - 1) - p->run->now;
    }
    if (p->run->event_count)
        wait = data_wait(p, index, p->start);
    if (p->run->starts)
        p->run->starts[index] = (int32_t)p->start;
    if (!executed) {
        p->end = p->start + rule(R_SKIPPED_CYCLES);
        p->late_address = 0;
        p->late_fp = 0;
        p->load_pending = false;
        p->store_data_end = LONG_AGO;
    } else if (in->cls == C_NOP && p->load_pending && p->start < p->load_data_end) {
        p->end = p->load_data_end;
        p->load_pending = false;
    } else if (in->cls == C_NOP && credit && p->start == p->end) {
        p->start--; /* it went by in the store's second cycle */
    } else {
        execute(p, in, wait);
    }
    p->narrow = in->size == 2;
}

int64_t pipe_single_run(const struct run *run) {
    struct pipe p;
    restore(&p, run);
    for (unsigned int i = 0; i < run->block->count; i++)
        step(&p, &run->block->insns[i], i);
    save(&p, run->out);
    return p.end;
}
