/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 16-bit Thumb encodings: Armv7-M Architecture Reference Manual (DDI 0403) section A5.2. */
#include "insn.h"

static void memory(struct insn *in, bool load, uint32_t rt, uint16_t address) {
    in->cls = load ? C_LOAD : C_STORE;
    in->flags |= load ? F_LOAD : F_STORE;
    in->address_reads = address;
    if (load)
        in->writes = reg_bit(rt);
    else
        in->data_reads = reg_bit(rt);
}

static void multiple(struct insn *in, bool load, uint32_t list, uint32_t base, bool writeback) {
    in->registers = (uint8_t)__builtin_popcount(list);
    in->address_reads = reg_bit(base);
    in->writeback = writeback ? reg_bit(base) : 0;
    in->flags |= load ? F_LOAD : F_STORE;
    in->cls = load ? C_LOAD_MULTIPLE : C_STORE_MULTIPLE;
    if (load) {
        in->writes = (uint16_t)list;
        if (list & 0x8000u) {
            in->cls = C_LOAD_MULTIPLE_PC;
            in->end = END_LOAD;
            in->flags |= F_RETURN;
        }
    } else {
        in->data_reads = (uint16_t)list;
    }
}

/* A5.2.2: data processing on two low registers. */
static void data_processing(struct insn *in, uint32_t h) {
    uint32_t op = (h >> 6) & 15u, rd = h & 7u, rm = (h >> 3) & 7u;
    in->cls = C_ALU;
    in->flags |= F_SETS_FLAGS;
    in->writes = reg_bit(rd);
    in->data_reads = (uint16_t)(reg_bit(rd) | reg_bit(rm));
    if (op == 2 || op == 3 || op == 4 || op == 7)
        in->cls = C_SHIFT;
    if (op == 5 || op == 6)
        in->flags |= F_READS_FLAGS;
    if (op == 8 || op == 10 || op == 11) {
        in->cls = C_COMPARE;
        in->writes = 0;
    }
    if (op == 9 || op == 15)
        in->data_reads = reg_bit(rm);
    if (op == 13)
        in->cls = C_MUL;
}

/* A5.2.3: operations on high registers, and branches to a register. */
static void special(struct insn *in, uint32_t h) {
    uint32_t rd = (h & 7u) | ((h >> 4) & 8u), rm = (h >> 3) & 15u, op = (h >> 8) & 3u;
    in->data_reads = reg_bit(rm);
    if (op == 3) { /* BX, BLX; bit 2 is set in the non-secure forms of Armv8-M */
        in->cls = C_BRANCH_REGISTER;
        if (h & 0x80u) {
            in->flags |= F_CALL;
            in->writes = reg_bit(14);
        }
        in->end = rm == 14 ? END_RETURN : END_REGISTER;
        if (!(h & 0x80u))
            in->flags |= F_RETURN;
        if (rm == 14)
            in->flags |= F_DECODE_SPECULATED;
        return;
    }
    in->cls = C_ALU;
    if (op == 1) {
        in->cls = C_COMPARE;
        in->flags |= F_SETS_FLAGS;
        in->data_reads |= reg_bit(rd);
        return;
    }
    if (op == 0)
        in->data_reads |= reg_bit(rd);
    in->writes = reg_bit(rd);
    if (rd == 15) {
        in->cls = C_BRANCH_REGISTER;
        in->end = op == 2 && rm == 14 ? END_RETURN : END_REGISTER;
        if (in->end == END_RETURN)
            in->flags |= F_DECODE_SPECULATED | F_RETURN;
    }
}

/* A5.2.5: miscellaneous. */
static void miscellaneous(struct insn *in, uint32_t h) {
    if ((h & 0xFF00u) == 0xB000u) {
        in->cls = C_ALU;
        in->writes = in->data_reads = reg_bit(13);
    } else if ((h & 0xF500u) == 0xB100u) {
        in->cls = C_COMPARE_BRANCH;
        in->end = END_CONDITIONAL;
        in->data_reads = reg_bit(h & 7u);
        in->target = in->address + 4 + (((h >> 3) & 0x1Fu) << 1) + ((h & 0x200u) ? 64u : 0u);
    } else if ((h & 0xFF00u) == 0xB200u) {
        in->cls = C_EXTEND;
        in->writes = reg_bit(h & 7u);
        in->data_reads = reg_bit((h >> 3) & 7u);
    } else if ((h & 0xFE00u) == 0xB400u) {
        multiple(in, false, (h & 0xFFu) | ((h & 0x100u) << 6), 13, true);
    } else if ((h & 0xFE00u) == 0xBC00u) {
        multiple(in, true, (h & 0xFFu) | ((h & 0x100u) << 7), 13, true);
    } else if ((h & 0xFFE0u) == 0xB660u) {
        in->cls = C_HINT;
    } else if ((h & 0xFF00u) == 0xBA00u) {
        in->cls = (h & 0xC0u) == 0x80u ? C_EXCEPTION : C_REVERSE;
        in->writes = reg_bit(h & 7u);
        in->data_reads = reg_bit((h >> 3) & 7u);
    } else if ((h & 0xFF00u) == 0xBE00u) {
        in->cls = C_EXCEPTION;
    } else if ((h & 0xFF00u) == 0xBF00u) {
        if (h & 15u) {
            uint32_t count = 4u - (uint32_t)__builtin_ctz(h & 15u), first = (h >> 4) & 1u;
            in->cls = C_IT;
            in->it_count = (uint8_t)count;
            for (uint32_t i = 1; i < count; i++)
                if (((h >> (4u - i)) & 1u) != first)
                    in->it_pattern |= (uint8_t)(1u << i);
        } else {
            uint32_t hint = (h >> 4) & 15u;
            in->cls = hint == 2 || hint == 3 || hint == 4 ? C_HINT : C_NOP;
        }
    }
}

static void load_store(struct insn *in, uint32_t h) {
    uint32_t rt = h & 7u, rn = (h >> 3) & 7u;
    if ((h & 0xF000u) == 0x5000u) {
        bool load = ((h >> 9) & 7u) >= 3u;
        memory(in, load, rt, (uint16_t)(reg_bit(rn) | reg_bit((h >> 6) & 7u)));
        if (((h >> 9) & 7u) != 4u)
            in->flags |= F_NARROW_DATA;
        if (!load)
            in->cls = C_STORE_REGISTER;
    } else if ((h & 0xF000u) == 0x9000u) {
        memory(in, h & 0x800u, (h >> 8) & 7u, reg_bit(13));
    } else {
        memory(in, h & 0x800u, rt, reg_bit(rn));
        if ((h & 0xF000u) != 0x6000u)
            in->flags |= F_NARROW_DATA;
    }
}

static void branches(struct insn *in, uint32_t h) {
    if ((h & 0xF000u) == 0xD000u) {
        uint32_t condition = (h >> 8) & 15u;
        if (condition >= 14) {
            in->cls = C_EXCEPTION;
            return;
        }
        in->cls = C_BRANCH_CONDITIONAL;
        in->end = END_CONDITIONAL;
        in->flags |= F_DECODE_SPECULATED | F_READS_FLAGS;
        in->target = in->address + 4u + ((uint32_t)(int32_t)(int8_t)(h & 0xFFu) << 1);
    } else if ((h & 0xF800u) == 0xE000u) {
        in->cls = C_BRANCH;
        in->end = END_DIRECT;
        in->flags |= F_DECODE_SPECULATED;
        in->target = in->address + 4u + (uint32_t)((int32_t)(h << 21) >> 20);
    }
}

static void arithmetic(struct insn *in, uint32_t h) {
    in->cls = (h & 0xE000u) == 0 && (h & 0x1800u) != 0x1800u && (h & 0xFFC0u) ? C_SHIFT : C_ALU;
    in->flags |= F_SETS_FLAGS;
    if ((h & 0xE000u) == 0) {
        in->writes = reg_bit(h & 7u);
        in->data_reads = reg_bit((h >> 3) & 7u);
        if ((h & 0x1C00u) == 0x1800u)
            in->data_reads |= reg_bit((h >> 6) & 7u);
    } else {
        uint32_t rd = (h >> 8) & 7u, op = (h >> 11) & 3u;
        in->writes = op == 1 ? 0 : reg_bit(rd);
        in->data_reads = op == 0 ? 0 : reg_bit(rd);
        if (op == 1)
            in->cls = C_COMPARE;
    }
}

void decode_narrow(struct insn *in, uint32_t h) {
    switch (h >> 12) {
    case 0:
    case 1:
    case 2:
    case 3:
        arithmetic(in, h);
        break;
    case 4:
        if ((h & 0xFC00u) == 0x4000u) {
            data_processing(in, h);
        } else if ((h & 0xFC00u) == 0x4400u) {
            special(in, h);
        } else {
            memory(in, true, (h >> 8) & 7u, 0);
            in->cls = C_LOAD_LITERAL;
            in->flags |= F_LITERAL;
        }
        break;
    case 5:
    case 6:
    case 7:
    case 8:
    case 9:
        load_store(in, h);
        break;
    case 10:
        in->cls = C_ALU;
        in->writes = reg_bit((h >> 8) & 7u);
        in->data_reads = (h & 0x800u) ? reg_bit(13) : 0;
        break;
    case 11:
        miscellaneous(in, h);
        break;
    case 12: {
        uint32_t rn = (h >> 8) & 7u, list = h & 0xFFu;
        bool load = h & 0x800u;
        multiple(in, load, list, rn, !load || !(list & reg_bit(rn)));
        break;
    }
    default:
        branches(in, h);
        break;
    }
}
