/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A decoded Thumb instruction: all that the timing models ask about it. */
#ifndef THIMBLE_INSN_H
#define THIMBLE_INSN_H

#include <stdbool.h>
#include <stdint.h>

enum insn_class {
#define CLASS(symbol, name) C_##symbol,
#include "classes.def"
#undef CLASS
    C_COUNT
};

/* How the next instruction's address is found; the order matters: from END_CONDITIONAL on, control may leave. */
enum insn_end {
    END_NONE,        /* goes on with the next instruction */
    END_CONDITIONAL, /* direct target, taken or not */
    END_DIRECT,      /* direct target, always taken */
    END_REGISTER,    /* target from a register other than LR, or from the ALU */
    END_RETURN,      /* target from LR */
    END_LOAD,        /* target from memory */
    END_TABLE        /* TBB, TBH */
};

enum {
    F_LOAD = 1 << 0,
    F_STORE = 1 << 1,
    F_CALL = 1 << 2,              /* BL, BLX */
    F_DECODE_SPECULATED = 1 << 3, /* branch whose target is fetched while it is decoded */
    F_FP = 1 << 4,                /* uses the FPU */
    F_MVE = 1 << 5,
    F_SETS_FLAGS = 1 << 6,
    F_READS_FLAGS = 1 << 7,
    F_NARROW_DATA = 1 << 8, /* loads a byte or a halfword */
    F_RETURN = 1 << 9,      /* may return from a function */
    F_LITERAL = 1 << 10
};

/* Where an instruction stands in an IT block. */
enum insn_it { IT_NONE, IT_THEN, IT_ELSE };

struct insn {
    uint32_t address, target;   /* target: of a direct branch */
    uint32_t encoding;          /* first halfword in the upper half where the instruction is wide */
    uint8_t size;               /* bytes: 2 or 4 */
    uint8_t cls;                /* enum insn_class */
    uint8_t end;                /* enum insn_end */
    uint8_t registers;          /* words that a multiple load or store moves */
    uint8_t it;                 /* enum insn_it */
    uint8_t joins;              /* its access overlaps that of the load right before it */
    uint8_t follows;            /* the instruction right before it is a load or a store too */
    uint8_t it_block;           /* number of that IT block within the block of code */
    uint8_t conditional_memory; /* 1 + number of this access among the block's conditional ones; 0: none */
    uint16_t flags;
    uint16_t writes;              /* core registers written, but for base write-back */
    uint16_t writeback;           /* base register that the addressing updates */
    uint16_t address_reads;       /* registers that form an address */
    uint16_t data_reads;          /* other registers read */
    uint16_t accumulator;         /* those of data_reads that a multiply only adds */
    uint32_t fp_writes, fp_reads; /* S registers; a vector register Qn is S(4n) to S(4n+3) */
    uint8_t it_count, it_pattern; /* of an IT instruction: how many follow, bit i set: "else" */
};

/* Decode the instruction whose bytes are at `code`. An encoding that is no instruction gets C_UNKNOWN. */
void insn_decode(struct insn *in, uint32_t address, const uint8_t *code);

void decode_narrow(struct insn *in, uint32_t h);
void decode_wide(struct insn *in, uint32_t h, uint32_t g);
void decode_branch(struct insn *in, uint32_t h, uint32_t g);
void decode_coprocessor(struct insn *in, uint32_t h, uint32_t g);
void decode_vector(struct insn *in, uint32_t h, uint32_t g);

const char *insn_class_name(unsigned int cls);

static inline uint16_t reg_bit(uint32_t n) {
    return (uint16_t)(1u << (n & 15u));
}

#endif
