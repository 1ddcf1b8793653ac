/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the timing plugin share: the core's table, blocks of code, pipeline states, memory. */
#ifndef THIMBLE_TIMING_H
#define THIMBLE_TIMING_H

#include "insn.h"

#include <stddef.h>
#include <stdio.h>

enum { MAX_BLOCK = 600, NO_CACHE = -1 };

enum rule {
#define RULE(symbol, name) R_##symbol,
#include "rules.def"
#undef RULE
    R_COUNT
};

enum pipe_kind { PIPE_SINGLE, PIPE_DUAL };

/* Execution resources of scoreboard pipes; an instruction holds one. ANY, ALU and MEMORY serve two a cycle. */
enum unit {
    UNIT_ANY,
    UNIT_ALU,
    UNIT_SHIFTER,
    UNIT_MAC,
    UNIT_MEMORY,
    UNIT_PORT, /* the one memory pipe, or the one store port */
    UNIT_FP,
    UNIT_VECTOR_INTEGER,
    UNIT_VECTOR_MULTIPLY,
    UNIT_BRANCH,
    UNIT_ALONE, /* pairs with nothing and holds the whole core */
    UNIT_COUNT
};

struct row {
    bool present;
    int16_t cycles, per_register; /* issue: cycles + per_register * words */
    int16_t latency;              /* superscalar pipes: cycles from issue to a dependent instruction */
    uint8_t unit;
};

struct core {
    enum pipe_kind pipe;
    struct row rows[C_COUNT];
    int rules[R_COUNT];
};

extern struct core core;

/* State of the pipeline between two blocks, times relative to the first cycle of the block that comes. Two states
 * are the same when their bytes are, so every byte is set. */
enum entry { ENTER_NEXT, ENTER_DECODE, ENTER_EXECUTE, ENTER_LOAD };

struct pipe_state {
    uint8_t entry;         /* how control came here: enum entry */
    uint8_t fetched;       /* words in the prefetch buffer or under way, from the word of the next instruction on */
    int8_t word_ready[3];  /* when their data phase ends */
    uint8_t narrow;        /* last instruction had 16 bits */
    uint8_t load_pending;  /* last instruction was a load whose data phase is still due */
    uint8_t store_pending; /* last instruction was a store whose data phase is still due */
    uint16_t load_writes;  /* registers of that load and of its write-back */
    uint16_t late_address; /* registers too late to form an address in the next cycle */
    uint32_t late_fp;      /* FP registers too late for the next instruction */
    int8_t fp_busy;        /* cycles until VDIV or VSQRT ends */
    int8_t slots_used;     /* superscalar pipes, from here on: instructions issued in the cycle before time 0 */
    int8_t bus_free;       /* first cycle for the next address phase on the instruction bus */
    int8_t pad[5];
    int8_t ready[16];         /* cycles until a core register can be read */
    int8_t ready_address[16]; /* the same, to form an address */
    int8_t ready_fp[8];       /* the same of FP registers, by groups of four S registers */
    int8_t unit_free[16];     /* cycles until a unit is free */
    int8_t ready_flags;
    int8_t pad2[7];
};

struct outcome {
    uint64_t key;
    uint32_t cycles;
    uint16_t exit_state;
    bool used;
};

enum { OUTCOMES = 4 };

struct function;

/* A translated block: instructions that run one after the other from its first. */
struct block {
    uint32_t start, fall_through; /* addresses of the first instruction and behind the last */
    uint16_t count;               /* instructions */
    uint8_t end;                  /* enum insn_end of the last instruction */
    bool always_leaves;           /* the last instruction is an unconditional branch */
    bool ends_call, may_return, is_entry, has_unknown, traced, begins_with_access;
    uint8_t conditional_accesses; /* loads and stores in IT blocks */
    uint32_t target;
    struct insn *insns;
    struct function *function;
    uint64_t runs, cycles;
    struct outcome outcomes[OUTCOMES];
    /* residence in the instruction cache */
    struct region *region;
    uint32_t first_sector, last_sector; /* with the word that the prefetch unit reads behind the block */
    uint32_t target_sector;             /* of a conditional branch, read in vain where it is not taken */
    bool reads_target;
    uint64_t generation, target_generation, stamp;
    bool listed;
    uint8_t counter;      /* branch predictor: two-bit counter */
    uint32_t last_target; /* branch predictor: of an indirect branch */
    struct block *next;
};

/* One access that the data side has to wait for, in the block that runs. */
struct data_event {
    uint16_t insn;
    uint16_t wait;         /* cycles beyond a zero-wait access */
    struct region *region; /* set: a flash read of `wait` wait states that contends for the flash */
};

struct run {
    const struct block *block;
    const struct pipe_state *in;
    struct pipe_state *out;
    bool taken;
    uint32_t executed; /* bit i: conditional access i happened */
    bool fetch_waits;  /* ask memory for every word fetched */
    int64_t now;       /* cycle of time 0 */
    const struct data_event *events;
    unsigned int event_count;
    int32_t *starts; /* if set: first execute cycle of each instruction, relative to now */
};

/* Cycles that the block takes from the end of the one before it to its own end. */
int64_t pipe_single_run(const struct run *run);

/* Does the access of `in` overlap that of `before`, the instruction right before it? */
bool pipe_single_joins(const struct insn *before, const struct insn *in);

int64_t pipe_dual_run(const struct run *run);

/* Scoreboard pipes: cycles lost behind the branch that ends the block, which went to `target` if `taken`. */
int64_t predict_branch(struct block *b, bool taken, uint32_t target);

/* Was conditional instruction `in` of this run executed? Instructions without evidence count as executed. */
bool run_executes(const struct run *run, const struct insn *in);

/* Read the file at `path`; false, with a message, where it does not hold what it should. */
bool config_read(const char *path);

#endif
