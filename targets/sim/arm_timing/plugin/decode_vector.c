/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The M-profile vector extension (MVE): DDI 0553 section C2.3, sorted only as finely as timing needs, by the pipe
 * that does the work (memory, integer, multiplier, floating point) and by the registers read and written. */
#include "insn.h"

static uint32_t vector(uint32_t q) {
    return 15u << ((q & 7u) << 2);
}

static void load_store(struct insn *in, uint32_t h, uint32_t g) {
    bool load = h & 0x10u, wide_space = h & 0x1000u, pre = h & 0x100u, writeback = h & 0x20u;
    bool same_width = g & 0x1000u;
    if ((h & 0xFF80u) == 0xEC00u && (g & 0x1F00u) == 0x0F00u) { /* VMOV of two lanes */
        in->cls = C_MVE_CORE;
        *(load ? &in->writes : &in->data_reads) = (uint16_t)(reg_bit(g) | reg_bit(h));
        *(load ? &in->fp_reads : &in->fp_writes) = vector(g >> 13);
        return;
    }
    if ((g & 0x0E00u) != 0x0E00u)
        return;
    in->flags |= load ? F_LOAD : F_STORE;
    *(load ? &in->fp_writes : &in->fp_reads) = vector(g >> 13);
    if (same_width && wide_space && pre) { /* [Qn, #imm] */
        in->cls = load ? C_MVE_GATHER : C_MVE_SCATTER;
        in->fp_reads |= vector((h >> 1) & 7u);
    } else if (same_width && wide_space) { /* VLD2, VLD4, VST2, VST4 */
        in->cls = C_MVE_INTERLEAVE;
        in->address_reads = reg_bit(h);
        in->writeback = writeback ? reg_bit(h) : 0;
    } else if (same_width || pre || writeback) {
        in->cls = load ? C_MVE_LOAD : C_MVE_STORE;
        in->address_reads = same_width ? reg_bit(h) : reg_bit(h & 7u);
        in->writeback = writeback ? in->address_reads : 0;
    } else {
        in->cls = load ? C_MVE_GATHER : C_MVE_SCATTER;
        in->address_reads = reg_bit(h);
        in->fp_reads |= vector((g >> 1) & 7u);
    }
}

/* 111U 1111: three vectors, or a vector and an immediate. */
static uint8_t classify_three_vectors(uint32_t h, uint32_t g) {
    uint32_t op = (g >> 8) & 15u;
    bool bit4 = g & 0x10u, u = h & 0x1000u;
    if (h & 0x80u)
        return C_MVE_ALU; /* shifts, reversals, counts, conversions */
    if (op == 9 || op == 11)
        return C_MVE_MUL;
    if (op == 12)
        return C_MVE_FP_MAC;
    if (op == 13)
        return u && bit4 ? C_MVE_FP_MAC : C_MVE_FP;
    return op == 15 ? C_MVE_FP : C_MVE_ALU;
}

/* 111x 1110: with accumulation into core registers, with a scalar operand, predicates. */
static uint8_t classify_other(uint32_t h, uint32_t g) {
    bool upper = h & 0x80u, low_op = (g & 0x0F00u) == 0x0E00u, size3 = (h & 0x30u) == 0x30u;
    if (upper && low_op)
        return C_MVE_MAC;
    if (upper) {
        if ((g & 0xC1u) == 0xC1u || (g & 0xC1u) == 0x40u)
            return C_MVE_ALU; /* narrowing shifts */
        return (h & 1u) || (g & 1u) || (h & 0xFFF3u) == 0xEEE2u ? C_MVE_REDUCE : C_MVE_MAC;
    }
    if (!low_op) {
        if ((h & 0x1001u) == 0x1001u)
            return C_MVE_PREDICATE;
        return size3 && (g & 0x40u) ? C_MVE_FP : C_MVE_ALU;
    }
    if (size3)
        return (g & 0x40u) ? C_MVE_FP_MAC : C_MVE_ALU;
    return (g & 0x40u) && (g & 0x1F70u) != 0x1E60u ? C_MVE_MAC : C_MVE_MUL;
}

static void registers(struct insn *in, uint32_t h, uint32_t g) {
    uint32_t d = vector(((g >> 13) & 7u)), n = vector((h >> 1) & 7u), m = vector((g >> 1) & 7u);
    in->fp_reads = n | m;
    if (in->cls == C_MVE_REDUCE || (in->cls == C_MVE_MAC && (h & 0x80u))) {
        in->writes = reg_bit((g >> 12) & 14u);
        if (g & 0x20u)
            in->accumulator = in->data_reads = in->writes;
    } else if (in->cls != C_MVE_PREDICATE) {
        in->fp_writes = d;
        if (in->cls == C_MVE_MAC || in->cls == C_MVE_FP_MAC)
            in->fp_reads |= d;
    }
}

void decode_vector(struct insn *in, uint32_t h, uint32_t g) {
    in->flags |= F_MVE;
    if ((h & 0xEE00u) == 0xEC00u) {
        load_store(in, h, g);
    } else if ((h & 0xEF00u) == 0xEF00u) {
        in->cls = classify_three_vectors(h, g);
        registers(in, h, g);
    } else {
        in->cls = classify_other(h, g);
        registers(in, h, g);
    }
}
