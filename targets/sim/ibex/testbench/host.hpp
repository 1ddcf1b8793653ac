// SPDX-License-Identifier: Apache-2.0
// What the firmware's host does for it: files, console and exit, by the operations of Arm's document "Semihosting for
// AArch32 and AArch64", which RISC-V shares.
#ifndef THIMBLE_HOST_HPP
#define THIMBLE_HOST_HPP

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "memory.hpp"

class Host {
  public:
    // The console goes to the file `console`, at most `limit` bytes of it.
    Host(Memory &memory, const std::string &console, uint64_t limit);
    ~Host();
    Host(const Host &) = delete;
    Host &operator=(const Host &) = delete;

    // Performs an operation; what it returns to the firmware. 0xffffffff for one that fails or is not known.
    uint32_t call(uint32_t operation, uint32_t argument);
    void print(uint8_t byte);
    void exit(uint32_t code) {
        exit_code_ = code;
    }

    // The exit code, once the firmware has asked for its end.
    std::optional<uint32_t> exit_code() const {
        return exit_code_;
    }

  private:
    std::optional<std::vector<uint32_t>> block(uint32_t address, uint32_t words);
    uint32_t open(uint32_t argument);
    uint32_t close(uint32_t argument);
    uint32_t write0(uint32_t argument);
    uint32_t transfer(uint32_t argument, bool write);
    uint32_t seek(uint32_t argument);
    FILE *file(uint32_t handle);

    Memory &memory_;
    FILE *console_;
    uint64_t console_left_;
    std::vector<FILE *> files_; // by handle - 1
    std::optional<uint32_t> exit_code_;
};

#endif
