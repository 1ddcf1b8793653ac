// SPDX-License-Identifier: Apache-2.0
// What a profile must know of an RV32IMC instruction (RISC-V Unprivileged ISA, listings of RV32I and RVC).
//
// Ibex's formal interface gives a byte mask of memory accesses too, but of other instructions as well.
#ifndef THIMBLE_DECODE_HPP
#define THIMBLE_DECODE_HPP

#include <cstdint>

constexpr uint32_t kReturnAddress = 1; // ra, x1
constexpr uint32_t kStackPointer = 2;  // sp, x2

inline bool is_compressed(uint32_t insn) {
    return (insn & 3) != 3;
}

inline uint32_t length_of(uint32_t insn) {
    return is_compressed(insn) ? 2 : 4;
}

// JAL, JALR, C.JAL and C.JALR that keep the return address in ra: the calling convention's call.
inline bool is_call(uint32_t insn) {
    if (is_compressed(insn)) {
        const bool jal = (insn & 0xe003) == 0x2001;
        const bool jalr = (insn & 0xf07f) == 0x9002 && (insn & 0x0f80) != 0;
        return jal || jalr;
    }
    const uint32_t opcode = insn & 0x7f;
    return (opcode == 0x6f || opcode == 0x67) && (insn >> 7 & 31) == kReturnAddress;
}

// LOAD, C.LW and C.LWSP.
inline bool is_load(uint32_t insn) {
    return is_compressed(insn) ? (insn & 0xe001) == 0x4000 : (insn & 0x7f) == 0x03;
}

// STORE, C.SW and C.SWSP.
inline bool is_store(uint32_t insn) {
    return is_compressed(insn) ? (insn & 0xe001) == 0xc000 : (insn & 0x7f) == 0x23;
}

#endif
