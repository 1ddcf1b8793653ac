/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The coprocessor space: floating point (DDI 0403 sections A6.4 to A6.7, DDI 0553 for FPv5), and the door to the
 * vector extension. `h` is the first halfword, `g` the second. */
#include "insn.h"

/* Bits of the S registers of operand `n` with extra bit `x`: S(n:x), or D(x:n) as two S registers. */
static uint32_t fp_registers(uint32_t n, uint32_t x, bool is_double) {
    if (!is_double)
        return 1u << (n << 1 | x);
    uint32_t d = (x << 4 | n) & 15u;
    return 3u << (d << 1);
}

static uint32_t operand_d(uint32_t h, uint32_t g, bool is_double) {
    return fp_registers(g >> 12, (h >> 6) & 1u, is_double);
}

static uint32_t operand_n(uint32_t h, uint32_t g, bool is_double) {
    return fp_registers(h & 15u, (g >> 7) & 1u, is_double);
}

static uint32_t operand_m(uint32_t g, bool is_double) {
    return fp_registers(g & 15u, (g >> 5) & 1u, is_double);
}

static void multiple(struct insn *in, uint32_t h, uint32_t g, bool load, bool is_double) {
    uint32_t words = g & 0xFFu;
    uint32_t first = (uint32_t)__builtin_ctz(operand_d(h, g, is_double));
    uint64_t span = words >= 32 ? 0xFFFFFFFFu : (1u << words) - 1u;
    in->cls = load ? C_FP_LOAD_MULTIPLE : C_FP_STORE_MULTIPLE;
    in->registers = (uint8_t)words;
    in->writeback = (h & 0x20u) ? reg_bit(h) : 0;
    *(load ? &in->fp_writes : &in->fp_reads) = (uint32_t)(span << first);
}

static void load_store(struct insn *in, uint32_t h, uint32_t g, bool is_double) {
    bool load = h & 0x10u;
    if ((h & 0xFFE0u) == 0xEC40u) { /* two core registers and a D or two S registers */
        in->cls = C_FP_CORE2;
        uint16_t core = (uint16_t)(reg_bit(g >> 12) | reg_bit(h));
        uint32_t m = fp_registers(g & 15u, (g >> 5) & 1u, is_double);
        uint32_t fp = is_double ? m : m | m << 1;
        *(load ? &in->writes : &in->data_reads) = core;
        *(load ? &in->fp_reads : &in->fp_writes) = fp;
        return;
    }
    bool pre = h & 0x100u, up = h & 0x80u, writeback = h & 0x20u;
    if (!pre && !up) { /* VLLDM, VLSTM, VSCCLRM of Armv8-M, or no instruction */
        in->cls = (h & 0xFFE0u) == 0xEC20u ? C_HINT : C_UNKNOWN;
        return;
    }
    in->flags |= load ? F_LOAD : F_STORE;
    in->address_reads = (h & 15u) == 15u ? 0 : reg_bit(h);
    if (!pre || writeback) {
        multiple(in, h, g, load, is_double);
        return;
    }
    in->cls = is_double ? (load ? C_FP_LOAD_DOUBLE : C_FP_STORE_DOUBLE) : (load ? C_FP_LOAD : C_FP_STORE);
    in->registers = is_double ? 2 : 1;
    *(load ? &in->fp_writes : &in->fp_reads) = operand_d(h, g, is_double);
}

/* A6.6: between a core register and a register of the FPU. */
static void transfer(struct insn *in, uint32_t h, uint32_t g, bool is_double) {
    bool to_core = h & 0x10u;
    uint16_t core = reg_bit(g >> 12);
    if ((h & 0xFFE0u) == 0xEEE0u) {
        in->cls = C_FP_STATUS;
        if (to_core && g >> 12 == 15)
            in->flags |= F_SETS_FLAGS;
        else
            *(to_core ? &in->writes : &in->data_reads) = core;
        return;
    }
    if (is_double && (h & 0xFF90u) == 0xEE80u && (g & 0x50u) == 0x10u) { /* VDUP of the vector extension */
        in->cls = C_MVE_CORE;
        in->flags |= F_MVE;
        in->data_reads = core;
        in->fp_writes = 15u << ((h & 14u) << 1);
        return;
    }
    in->cls = C_FP_CORE;
    uint32_t n = is_double ? 3u << ((h & 15u) << 1) : operand_n(h, g, false);
    *(to_core ? &in->writes : &in->data_reads) = core;
    *(to_core ? &in->fp_reads : &in->fp_writes) = n;
}

static uint8_t choose(bool is_double, enum insn_class single, enum insn_class dbl) {
    return (uint8_t)(is_double ? dbl : single);
}

/* A6.4, the rows with one operand and an immediate. */
static void one_operand(struct insn *in, uint32_t h, uint32_t g, bool dbl) {
    uint32_t op2 = h & 15u, op3 = (g >> 6) & 3u;
    in->fp_reads = operand_m(g, dbl);
    in->cls = choose(dbl, C_FP_CONVERT, C_FPD_OTHER);
    if (!(op3 & 1u)) {
        in->cls = choose(dbl, C_FP_MOVE, C_FPD_OTHER);
        in->fp_reads = 0;
    } else if (op2 == 0 || (op2 == 1 && op3 == 1)) {
        in->cls = choose(dbl, C_FP_MOVE, C_FPD_OTHER);
    } else if (op2 == 1) {
        in->cls = choose(dbl, C_FP_SQRT, C_FPD_SQRT);
    } else if (op2 == 4 || op2 == 5) {
        in->cls = choose(dbl, C_FP_COMPARE, C_FPD_OTHER);
        in->fp_reads |= in->fp_writes;
        in->fp_writes = 0;
    } else if (op2 == 9) {
        in->cls = C_UNKNOWN;
    } else if (op2 >= 10) { /* fixed point converts in place */
        in->fp_reads = op2 == 12 || op2 == 13 ? in->fp_reads : in->fp_writes;
    }
}

static void data_processing(struct insn *in, uint32_t h, uint32_t g, bool dbl) {
    uint32_t op = ((h >> 4) & 3u) | ((h >> 5) & 4u);
    bool accumulates = op <= 1 || op == 5 || op == 6;
    in->fp_writes = operand_d(h, g, dbl);
    if (op == 7 && !(h & 0x1000u)) {
        one_operand(in, h, g, dbl);
        return;
    }
    in->fp_reads = operand_n(h, g, dbl) | operand_m(g, dbl);
    if (h & 0x1000u) { /* FPv5: VSEL, VMAXNM, VMINNM, VCVTA ..., VRINTA ... */
        in->cls = choose(dbl, op < 4 ? C_FP_MOVE : op == 7 ? C_FP_CONVERT : C_FP_ADD, C_FPD_OTHER);
        return;
    }
    if (accumulates)
        in->fp_reads |= in->fp_writes;
    switch (op) {
    case 0:
    case 1:
        in->cls = choose(dbl, C_FP_MAC, C_FPD_MAC);
        break;
    case 2:
        in->cls = choose(dbl, C_FP_MUL, C_FPD_MUL);
        break;
    case 3:
        in->cls = choose(dbl, C_FP_ADD, C_FPD_ADD);
        break;
    case 4:
        in->cls = choose(dbl, C_FP_DIV, C_FPD_DIV);
        break;
    default:
        in->cls = choose(dbl, C_FP_FMA, C_FPD_MAC);
        break;
    }
}

void decode_coprocessor(struct insn *in, uint32_t h, uint32_t g) {
    uint32_t coprocessor = (g >> 8) & 15u;
    bool is_double = coprocessor == 11;
    if ((h & 0x0F00u) == 0x0F00u || coprocessor >= 14) {
        decode_vector(in, h, g);
        return;
    }
    if (coprocessor < 9 || coprocessor > 11)
        return;
    in->flags |= F_FP;
    if ((h & 0xFE00u) == 0xEC00u)
        load_store(in, h, g, is_double);
    else if ((h & 0xFF00u) == 0xEE00u && (g & 0x10u))
        transfer(in, h, g, is_double);
    else if ((h & 0xEF00u) == 0xEE00u && !(g & 0x10u))
        data_processing(in, h, g, is_double);
}
