/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 32-bit branches, control and Armv8.1-M loops: DDI 0403 section A5.3.4. `h` is the first halfword, `g` the second. */
#include "insn.h"

static uint32_t branch_offset(uint32_t h, uint32_t g) {
    uint32_t s = (h >> 10) & 1u, j1 = (g >> 13) & 1u, j2 = (g >> 11) & 1u;
    uint32_t i1 = !(j1 ^ s), i2 = !(j2 ^ s);
    uint32_t offset = s << 24 | i1 << 23 | i2 << 22 | (h & 0x3FFu) << 12 | (g & 0x7FFu) << 1;
    return (uint32_t)((int32_t)(offset << 7) >> 7);
}

/* Armv8.1-M low-overhead loops, DDI 0553 C2.4: in the space of A-profile's BLX immediate. */
static void low_overhead_loop(struct insn *in, uint32_t h, uint32_t g) {
    if (h == 0xF00Fu && g == 0xE001u) { /* LCTP */
        in->cls = C_HINT;
    } else if ((h & 0xFFC0u) == 0xF000u && g == 0xE801u) { /* VCTP */
        in->cls = C_MVE_PREDICATE;
        in->flags |= F_MVE;
        in->data_reads = reg_bit(h);
    } else if ((h & 0xFF8Fu) == 0xF00Fu && (g & 0xF001u) == 0xC001u) { /* LE, LETP */
        in->cls = C_LOOP_END;
        in->end = END_CONDITIONAL;
        in->writes = in->data_reads = reg_bit(14);
        in->target = in->address + 4u - (((g >> 1) & 0x3FFu) << 2 | ((g >> 11) & 1u) << 1);
    } else if ((h & 0xFF80u) == 0xF000u) { /* DLS, WLS, DLSTP, WLSTP */
        in->cls = C_LOOP_START;
        in->writes = reg_bit(14);
        in->data_reads = reg_bit(h);
        if ((g & 0xF001u) == 0xC001u) {
            in->end = END_CONDITIONAL;
            in->target = in->address + 4u + (((g >> 1) & 0x3FFu) << 2 | ((g >> 11) & 1u) << 1);
        }
    }
}

void decode_branch(struct insn *in, uint32_t h, uint32_t g) {
    uint32_t form = g & 0xD000u;
    if (form == 0xC000u) {
        low_overhead_loop(in, h, g);
    } else if (form == 0xD000u || form == 0x9000u) {
        in->cls = form == 0xD000u ? C_CALL : C_BRANCH;
        in->end = END_DIRECT;
        in->flags |= F_DECODE_SPECULATED;
        in->target = in->address + 4u + branch_offset(h, g);
        if (form == 0xD000u) {
            in->flags |= F_CALL;
            in->writes = reg_bit(14);
        }
    } else if ((h & 0x380u) != 0x380u) {
        uint32_t offset = ((h >> 10) & 1u) << 20 | ((g >> 11) & 1u) << 19 | ((g >> 13) & 1u) << 18 | (h & 0x3Fu) << 12 |
                          (g & 0x7FFu) << 1;
        in->cls = C_BRANCH_CONDITIONAL;
        in->end = END_CONDITIONAL;
        in->flags |= F_DECODE_SPECULATED | F_READS_FLAGS;
        in->target = in->address + 4u + (uint32_t)((int32_t)(offset << 11) >> 11);
    } else if ((h & 0xFFE0u) == 0xF380u) {
        in->cls = C_MSR;
        in->data_reads = reg_bit(h);
    } else if ((h & 0xFFE0u) == 0xF3E0u) {
        in->cls = C_MRS;
        in->writes = reg_bit(g >> 8);
    } else if (h == 0xF3AFu) {
        in->cls = (g & 0xFFu) >= 2 && (g & 0xFFu) <= 4 ? C_HINT : C_NOP;
    } else if (h == 0xF3BFu) {
        uint32_t op = (g >> 4) & 15u;
        in->cls = op == 6 ? C_ISB : op == 4 || op == 5 ? C_BARRIER : op == 2 ? C_HINT : C_UNKNOWN;
    } else if ((h & 0xFFF0u) == 0xF7F0u && (g & 0xF000u) == 0xA000u) {
        in->cls = C_EXCEPTION; /* UDF */
    }
}
