/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "insn.h"

#include <string.h>

static const char *const names[] = {
#define CLASS(symbol, name) name,
#include "classes.def"
#undef CLASS
};

const char *insn_class_name(unsigned int cls) {
    return cls < C_COUNT ? names[cls] : "unknown";
}

void insn_decode(struct insn *in, uint32_t address, const uint8_t *code) {
    uint32_t h = (uint32_t)code[0] | (uint32_t)code[1] << 8;
    memset(in, 0, sizeof *in);
    in->address = address;
    /* Not QEMU's size: at the end of a page it looks ahead and counts the next instruction in. */
    in->size = h >> 11 >= 0x1Du ? 4 : 2;
    in->cls = C_UNKNOWN;
    in->encoding = h;
    if (in->size == 2) {
        decode_narrow(in, h);
    } else {
        uint32_t g = (uint32_t)code[2] | (uint32_t)code[3] << 8;
        in->encoding = h << 16 | g;
        decode_wide(in, h, g);
    }
}
