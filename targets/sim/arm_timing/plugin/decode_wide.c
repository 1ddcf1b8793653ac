/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 32-bit Thumb encodings but for the coprocessor space: DDI 0403 section A5.3, DDI 0553 (Armv8-M) section C2.3.
 * `h` is the first halfword, `g` the second. */
#include "insn.h"

static void single(struct insn *in, bool load, uint32_t rt, uint32_t rn) {
    in->cls = load ? C_LOAD : C_STORE;
    in->flags |= load ? F_LOAD : F_STORE;
    in->address_reads = reg_bit(rn);
    if (load)
        in->writes = reg_bit(rt);
    else
        in->data_reads = reg_bit(rt);
}

/* A5.3.5: LDM, STM; Armv8.1-M's CLRM has the PC as base. */
static void multiple(struct insn *in, uint32_t h, uint32_t g) {
    uint32_t op = (h >> 7) & 3u, rn = h & 15u;
    bool load = h & 0x10u;
    if (op == 0 || op == 3)
        return;
    in->registers = (uint8_t)__builtin_popcount(g);
    if (rn == 15) {
        in->cls = C_ALU;
        in->writes = (uint16_t)g;
        return;
    }
    in->cls = load ? C_LOAD_MULTIPLE : C_STORE_MULTIPLE;
    in->flags |= load ? F_LOAD : F_STORE;
    in->address_reads = reg_bit(rn);
    in->writeback = (h & 0x20u) ? reg_bit(rn) : 0;
    if (!load) {
        in->data_reads = (uint16_t)g;
        return;
    }
    in->writes = (uint16_t)g;
    if (g & 0x8000u) {
        in->cls = C_LOAD_MULTIPLE_PC;
        in->end = END_LOAD;
        in->flags |= F_RETURN;
    }
}

/* A5.3.6: two registers, exclusive, table branch; Armv8-M's SG, TT, LDA, STL. */
static void dual_exclusive(struct insn *in, uint32_t h, uint32_t g) {
    uint32_t rn = h & 15u;
    bool load = h & 0x10u;
    if (h == 0xE97Fu && g == 0xE97Fu) { /* SG */
        in->cls = C_HINT;
        return;
    }
    if (h & 0x120u) {
        single(in, load, g >> 12, rn);
        in->cls = load ? C_LOAD_DOUBLE : C_STORE_DOUBLE;
        in->registers = 2;
        *(load ? &in->writes : &in->data_reads) |= reg_bit(g >> 8);
        in->writeback = (h & 0x20u) ? reg_bit(rn) : 0;
    } else if ((h & 0xFFF0u) == 0xE8D0u && (g & 0xFFE0u) == 0xF000u) {
        in->cls = C_TABLE_BRANCH;
        in->end = END_TABLE;
        in->flags |= F_LOAD;
        in->address_reads = (uint16_t)(reg_bit(rn) | reg_bit(g));
    } else if ((h & 0xFFF0u) == 0xE840u && (g & 0xF03Fu) == 0xF000u) { /* TT */
        in->cls = C_HINT;
        in->writes = reg_bit(g >> 8);
    } else {
        single(in, load, g >> 12, rn);
        in->cls = load ? C_LOAD_EXCLUSIVE : C_STORE_EXCLUSIVE;
        if (!load)
            in->writes = reg_bit((h & 0x80u) ? g : g >> 8);
    }
}

/* The operations shared by A5.3.1 (modified immediate) and A5.3.11 (shifted register). */
static bool data_operation(struct insn *in, uint32_t h, uint32_t g) {
    uint32_t op = (h >> 5) & 15u, rn = h & 15u, rd = (g >> 8) & 15u;
    bool sets = h & 0x10u;
    if (op == 5 || op == 7 || op == 9 || op == 12 || op == 15)
        return false;
    in->cls = C_ALU;
    in->writes = reg_bit(rd);
    if (!((op == 2 || op == 3) && rn == 15))
        in->data_reads |= reg_bit(rn);
    if (sets)
        in->flags |= F_SETS_FLAGS;
    if (op == 10 || op == 11)
        in->flags |= F_READS_FLAGS;
    if (sets && rd == 15 && (op == 0 || op == 4 || op == 8 || op == 13)) {
        in->cls = C_COMPARE;
        in->writes = 0;
    }
    return true;
}

/* A5.3.11, and what Armv8.1-M put beside it: CSEL and the long shifts. */
static void shifted_register(struct insn *in, uint32_t h, uint32_t g) {
    uint32_t op = (h >> 5) & 15u, rn = h & 15u, rd = (g >> 8) & 15u, rm = g & 15u;
    bool shifted = g & 0x70F0u;
    if ((h & 0xFFF0u) == 0xEA50u && (g & 0x8000u)) {
        in->cls = C_SELECT;
        in->flags |= F_READS_FLAGS;
        in->writes = reg_bit(rd);
        in->data_reads = (uint16_t)(reg_bit(rn) | reg_bit(rm));
        return;
    }
    if ((h & 0xFFF0u) == 0xEA50u && (rm == 15 || rm == 13)) {
        in->cls = C_LONG_SHIFT;
        in->writes = in->data_reads = (uint16_t)(reg_bit(rn & 14u) | reg_bit((rd & 14u) | 1u));
        return;
    }
    if (op == 6) {
        in->cls = C_SIMD; /* PKHBT, PKHTB */
        in->writes = reg_bit(rd);
        in->data_reads = (uint16_t)(reg_bit(rn) | reg_bit(rm));
        return;
    }
    if (!data_operation(in, h, g))
        return;
    in->data_reads |= reg_bit(rm);
    if (op == 2 && rn == 15)
        in->cls = shifted ? C_SHIFT : C_ALU;
    else if (shifted && in->cls == C_ALU)
        in->cls = C_ALU_SHIFTED;
    if (in->cls == C_ALU && op == 2 && rn == 15 && rd == 15)
        in->cls = C_UNKNOWN;
}

/* A5.3.1 and A5.3.3: data processing with an immediate. */
static void immediate(struct insn *in, uint32_t h, uint32_t g) {
    uint32_t rn = h & 15u, rd = (g >> 8) & 15u;
    if (!(h & 0x200u)) {
        /* A constant made by rotating eight bits goes through the shifter; a replicated pattern does not. */
        uint32_t constant = ((h >> 10) & 1u) << 3 | ((g >> 12) & 7u);
        if (data_operation(in, h, g) && in->cls == C_ALU && constant >= 4)
            in->cls = C_ALU_SHIFTED;
        return;
    }
    in->writes = reg_bit(rd);
    in->data_reads = reg_bit(rn);
    switch ((h >> 4) & 31u) {
    case 0:
    case 10:
        in->cls = C_ALU;
        break;
    case 4:
        in->cls = C_ALU;
        in->data_reads = 0;
        break;
    case 12:
        in->cls = C_ALU;
        in->data_reads = reg_bit(rd);
        break;
    case 16:
    case 18:
    case 24:
    case 26:
        in->cls = C_SATURATE;
        break;
    case 20:
    case 28:
        in->cls = C_BITFIELD;
        break;
    case 22:
        in->cls = C_BITFIELD;
        in->data_reads = (uint16_t)((rn == 15 ? 0 : reg_bit(rn)) | reg_bit(rd));
        break;
    default:
        in->writes = 0;
        break;
    }
}

/* A5.3.7 to A5.3.10: single loads and stores. */
static void load_store(struct insn *in, uint32_t h, uint32_t g) {
    uint32_t size = (h >> 5) & 3u, rn = h & 15u, rt = g >> 12;
    bool load = h & 0x10u, immediate12 = h & 0x80u, literal = rn == 15;
    if (size == 3 || (!load && ((h & 0x100u) || literal)))
        return;
    if (!literal && !immediate12 && !(g & 0x800u) && (g & 0x7C0u))
        return;
    bool by_register = !literal && !immediate12 && !(g & 0x800u);
    if (load && rt == 15 && size != 2) {
        in->cls = C_PRELOAD;
        in->address_reads = reg_bit(rn);
        return;
    }
    single(in, load, rt, rn);
    if (size != 2)
        in->flags |= F_NARROW_DATA;
    if (literal) {
        in->cls = C_LOAD_LITERAL;
        in->address_reads = 0;
        in->flags |= F_LITERAL;
    }
    if (by_register) {
        in->address_reads |= reg_bit(g);
        if (!load)
            in->cls = C_STORE_REGISTER;
    } else if (!literal && !immediate12 && (g & 0x100u)) {
        in->writeback = reg_bit(rn);
    }
    if (load && rt == 15) {
        in->cls = C_LOAD_PC;
        in->end = END_LOAD;
        in->flags |= F_RETURN;
    }
}

/* A5.3.12 to A5.3.15: data processing on registers only. */
static void register_operation(struct insn *in, uint32_t h, uint32_t g) {
    uint32_t rn = h & 15u, rd = (g >> 8) & 15u, rm = g & 15u, group = (g >> 4) & 15u;
    if ((g & 0xF000u) != 0xF000u)
        return;
    in->writes = reg_bit(rd);
    in->data_reads = (uint16_t)((rn == 15 ? 0 : reg_bit(rn)) | reg_bit(rm));
    if (!(h & 0x80u)) {
        if (group == 0) {
            in->cls = C_SHIFT;
            if (h & 0x10u)
                in->flags |= F_SETS_FLAGS;
        } else if ((group & 8u) && ((h >> 4) & 7u) <= 5) {
            in->cls = C_EXTEND;
            in->accumulator = rn == 15 ? 0 : reg_bit(rn);
        }
    } else if (group < 8) {
        if (((h >> 4) & 7u) <= 6 && ((h >> 4) & 7u) != 3 && (group & 3u) != 3)
            in->cls = C_SIMD;
    } else if (group < 12) {
        uint32_t op = (h >> 4) & 3u;
        in->cls = (h & 0x40u) ? C_UNKNOWN : op == 0 ? C_SATURATE : op == 2 ? C_SIMD : C_REVERSE;
    }
}

/* A5.3.16: 32-bit multiplies. */
static void multiply(struct insn *in, uint32_t h, uint32_t g) {
    uint32_t op = (h >> 4) & 7u, low = (g >> 4) & 15u, rn = h & 15u, ra = g >> 12, rd = (g >> 8) & 15u;
    bool adds = ra != 15;
    if (low > 3 || (low > 1 && op != 1 && op != 0))
        return;
    in->writes = reg_bit(rd);
    in->data_reads = (uint16_t)(reg_bit(rn) | reg_bit(g) | (adds ? reg_bit(ra) : 0));
    in->accumulator = adds ? reg_bit(ra) : 0;
    if (op == 0)
        in->cls = adds ? C_MLA : C_MUL;
    else if (op == 7)
        in->cls = C_SIMD; /* USAD8, USADA8 */
    else
        in->cls = adds ? C_DSP_MAC : C_DSP_MUL;
}

/* A5.3.17: long multiplies and divides. */
static void multiply_long(struct insn *in, uint32_t h, uint32_t g) {
    uint32_t op = (h >> 4) & 7u, rn = h & 15u, lo = g >> 12, hi = (g >> 8) & 15u;
    in->data_reads = (uint16_t)(reg_bit(rn) | reg_bit(g));
    in->writes = (uint16_t)(reg_bit(lo) | reg_bit(hi));
    if (op == 1 || op == 3) {
        in->cls = C_DIVIDE;
        in->writes = reg_bit(hi);
    } else if (op == 0 || op == 2) {
        in->cls = C_MUL_LONG;
    } else if (op != 7) {
        in->cls = C_MLA_LONG;
        in->accumulator = in->writes;
        in->data_reads |= in->writes;
    }
}

void decode_wide(struct insn *in, uint32_t h, uint32_t g) {
    uint32_t space = (h >> 11) & 3u;
    if ((h & 0xEC00u) == 0xEC00u) {
        decode_coprocessor(in, h, g);
    } else if (space == 1) {
        if ((h & 0xFE40u) == 0xE800u)
            multiple(in, h, g);
        else if ((h & 0xFE40u) == 0xE840u)
            dual_exclusive(in, h, g);
        else
            shifted_register(in, h, g);
    } else if (space == 2) {
        if (g & 0x8000u)
            decode_branch(in, h, g);
        else
            immediate(in, h, g);
    } else if ((h & 0xFE00u) == 0xF800u) {
        load_store(in, h, g);
    } else if ((h & 0xFF00u) == 0xFA00u) {
        register_operation(in, h, g);
    } else if ((h & 0xFF80u) == 0xFB00u) {
        multiply(in, h, g);
    } else if ((h & 0xFF80u) == 0xFB80u) {
        multiply_long(in, h, g);
    }
}
