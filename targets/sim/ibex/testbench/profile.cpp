// SPDX-License-Identifier: Apache-2.0
#include "profile.hpp"

#include <algorithm>

#include "decode.hpp"

namespace {

constexpr uint32_t kNoReturn = 1; // odd: no instruction lies there

} // namespace

void Profile::add_function(uint32_t address, uint32_t bytes, const std::string &name) {
    functions_.push_back({address, bytes, name, 0, 0, 0, 0, 0, 0});
}

size_t Profile::find(uint32_t pc) const {
    const auto above = std::upper_bound(functions_.begin() + 1, functions_.end(), pc,
                                        [](uint32_t value, const Function &f) { return value < f.address; });
    const size_t index = static_cast<size_t>(above - functions_.begin()) - 1;
    return index > 0 && pc - functions_[index].address < functions_[index].bytes ? index : 0;
}

void Profile::retire(const Retired &now, uint64_t cycle) {
    const Function &running = functions_[current_];
    const bool sequential = now.pc == last_.pc + length_of(last_.insn);
    const size_t from = current_;
    if (now.pc - running.address >= running.bytes) {
        current_ = find(now.pc);
    }
    if (!sequential || current_ != from) {
        transfer(now.pc);
    }
    Function &function = functions_[current_];
    function.instructions++;
    function.cycles += cycle - last_cycle_;
    instructions_++;
    track_stack(now);
    last_ = now;
    last_cycle_ = cycle;
}

void Profile::transfer(uint32_t pc) {
    if (is_call(last_.insn)) {
        enter(current_, last_.pc + length_of(last_.insn), stack_pointer_);
        return;
    }
    // Mostly the top frame or none; deeper ones where a function was left by longjmp.
    for (size_t depth = frames_.size(); depth-- > 0 && frames_[depth].stack_pointer <= stack_pointer_;) {
        if (returned_to(frames_[depth], pc)) {
            while (frames_.size() > depth || (!frames_.empty() && returned_to(frames_.back(), pc))) {
                leave();
            }
            return;
        }
    }
    if (current_ != 0 && pc == functions_[current_].address) {
        enter_tail(current_);
    }
}

// With equal stack pointers only: a recursion returns to the same place again and again.
bool Profile::returned_to(const Frame &frame, uint32_t pc) const {
    return frame.return_address == pc && frame.stack_pointer == stack_pointer_;
}

void Profile::enter(size_t function, uint32_t return_address, uint32_t stack_pointer) {
    functions_[function].calls++;
    if (frames_.size() < kMaxDepth) {
        frames_.push_back({function, return_address, stack_pointer, last_cycle_, instructions_});
        functions_[function].active++;
    }
}

void Profile::enter_tail(size_t function) {
    if (frames_.empty()) {
        enter(function, kNoReturn, stack_pointer_);
        return;
    }
    const Frame top = frames_.back();
    // Functions that jump to each other in a loop must not pile up, nor a loop back to a function's own start.
    for (size_t depth = frames_.size(); depth-- > 0;) {
        const Frame &frame = frames_[depth];
        if (frame.return_address != top.return_address || frame.stack_pointer != top.stack_pointer) {
            break;
        }
        if (frame.function == function) {
            functions_[function].calls += depth + 1 < frames_.size();
            return;
        }
    }
    enter(function, top.return_address, top.stack_pointer);
}

void Profile::leave() {
    const Frame &top = frames_.back();
    Function &function = functions_[top.function];
    // Of a recursion only the outermost frame counts, or its cycles would be counted once a level.
    if (--function.active == 0) {
        function.inclusive_cycles += last_cycle_ - top.entered_cycle;
        function.inclusive_instructions += instructions_ - top.entered_instructions;
    }
    frames_.pop_back();
}

void Profile::finish() {
    while (!frames_.empty()) {
        leave();
    }
}

// Start-up code may build an address in the stack pointer in two steps, LUI or AUIPC and ADDI; what stays there for an
// instruction that does not write it is a stack.
void Profile::track_stack(const Retired &now) {
    if (now.rd == kStackPointer) {
        stack_pointer_ = now.rd_value;
        return;
    }
    if (stack_top_ == 0) {
        stack_top_ = stack_pointer_;
    }
    if (stack_top_ != 0 && stack_pointer_ < lowest_stack_) {
        lowest_stack_ = stack_pointer_;
        lowest_stack_pc_ = last_.pc;
    }
}

void Profile::write_functions(FILE *out) const {
    const char *separator = "";
    std::fprintf(out, "\"functions\": [");
    for (const Function &f : functions_) {
        if (f.instructions == 0) {
            continue;
        }
        std::fprintf(out,
                     "%s\n  {\"name\": \"%s\", \"calls\": %llu, \"instructions\": %llu, \"cycles\": %llu, "
                     "\"inclusive_cycles\": %llu, \"inclusive_instructions\": %llu}",
                     separator, f.name.c_str(), static_cast<unsigned long long>(f.calls),
                     static_cast<unsigned long long>(f.instructions), static_cast<unsigned long long>(f.cycles),
                     static_cast<unsigned long long>(f.inclusive_cycles),
                     static_cast<unsigned long long>(f.inclusive_instructions));
        separator = ",";
    }
    std::fprintf(out, "]");
}
