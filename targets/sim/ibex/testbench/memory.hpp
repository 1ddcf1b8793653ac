// SPDX-License-Identifier: Apache-2.0
// The SoC's memories as the host sees them.
#ifndef THIMBLE_MEMORY_HPP
#define THIMBLE_MEMORY_HPP

#include <cstdint>
#include <string>

#include "Vibex_soc___024root.h"

class Memory {
  public:
    // rtl/ibex_soc.sv has these addresses too.
    static constexpr uint32_t kFlashOrigin = 0x20000000;
    static constexpr uint32_t kRamOrigin = 0x10000000;
    static constexpr uint32_t kHostOrigin = 0x40000000;
    static constexpr uint32_t kExit = kHostOrigin + 0x04;
    static constexpr uint32_t kArgument = kHostOrigin + 0x0c;

    explicit Memory(Vibex_soc___024root *root) : root_(root) {
    }

    static constexpr uint32_t flash_bytes() {
        return sizeof(Vibex_soc___024root::ibex_soc__DOT__flash);
    }
    static constexpr uint32_t ram_bytes() {
        return sizeof(Vibex_soc___024root::ibex_soc__DOT__ram);
    }
    static constexpr bool in_flash(uint32_t address) {
        return address - kFlashOrigin < flash_bytes();
    }
    static constexpr bool in_ram(uint32_t address) {
        return address - kRamOrigin < ram_bytes();
    }

    // The byte at `address`, or null where there is no memory. Words are little endian, here and there.
    uint8_t *at(uint32_t address) {
        if (in_ram(address)) {
            return reinterpret_cast<uint8_t *>(&root_->ibex_soc__DOT__ram[0]) + (address - kRamOrigin);
        }
        if (in_flash(address)) {
            return reinterpret_cast<uint8_t *>(&root_->ibex_soc__DOT__flash[0]) + (address - kFlashOrigin);
        }
        return nullptr;
    }

    // Whether [address, address + bytes) lies in one memory, `writable`: in RAM.
    static bool holds(uint32_t address, uint32_t bytes, bool writable) {
        if (in_ram(address)) {
            return bytes <= ram_bytes() - (address - kRamOrigin);
        }
        return !writable && in_flash(address) && bytes <= flash_bytes() - (address - kFlashOrigin);
    }

  private:
    Vibex_soc___024root *root_;
};

#endif
