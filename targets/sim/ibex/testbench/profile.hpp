// SPDX-License-Identifier: Apache-2.0
// Cycles and instructions by function, from the retired instructions alone.
//
// An instruction is charged the cycles from the retirement of the one before it to its own, so the charges add up to
// the whole run. A function's inclusive cycles run from the retirement of the instruction that called it to that of
// the one that returned; a function that it ends in a jump to (a tail call) returns for both.
#ifndef THIMBLE_PROFILE_HPP
#define THIMBLE_PROFILE_HPP

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

// One retired instruction, of the RISC-V Formal Interface.
struct Retired {
    uint32_t pc;
    uint32_t insn; // a compressed one in its 16 bits
    uint32_t rd;   // 0 where none is written
    uint32_t rd_value;
};

class Profile {
  public:
    // Functions come by address, without overlap.
    void add_function(uint32_t address, uint32_t bytes, const std::string &name);

    // The run starts at `cycle`.
    void start(uint64_t cycle) {
        last_cycle_ = cycle;
    }
    void retire(const Retired &now, uint64_t cycle);

    // Closes the functions that still run.
    void finish();

    void write_functions(FILE *out) const;
    uint64_t instructions() const {
        return instructions_;
    }
    uint32_t last_pc() const {
        return last_.pc;
    }
    // The first stack pointer, the lowest, and the instruction that set that; 0 without a stack.
    uint32_t stack_top() const {
        return stack_top_;
    }
    uint32_t lowest_stack() const {
        return stack_top_ == 0 ? 0 : lowest_stack_;
    }
    uint32_t lowest_stack_pc() const {
        return lowest_stack_pc_;
    }

  private:
    struct Function {
        uint32_t address, bytes;
        std::string name;
        uint64_t calls, instructions, cycles, inclusive_cycles, inclusive_instructions;
        uint32_t active; // frames of it
    };
    struct Frame {
        size_t function;
        uint32_t return_address, stack_pointer;
        uint64_t entered_cycle, entered_instructions;
    };

    size_t find(uint32_t pc) const;
    void transfer(uint32_t pc);
    bool returned_to(const Frame &frame, uint32_t pc) const;
    void enter(size_t function, uint32_t return_address, uint32_t stack_pointer);
    void enter_tail(size_t function);
    void leave();
    void track_stack(const Retired &now);

    static constexpr size_t kMaxDepth = 65536;
    // Index 0 is for addresses outside of all functions.
    std::vector<Function> functions_{{0, 0, "(no symbol)", 0, 0, 0, 0, 0, 0}};
    std::vector<Frame> frames_;
    size_t current_ = 0;
    Retired last_{};
    uint64_t last_cycle_ = 0, instructions_ = 0;
    uint32_t stack_pointer_ = 0, stack_top_ = 0, lowest_stack_ = 0xffffffff, lowest_stack_pc_ = 0;
};

#endif
