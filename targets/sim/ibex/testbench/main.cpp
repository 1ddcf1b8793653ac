// SPDX-License-Identifier: Apache-2.0
// Runs a firmware image on the verilated SoC: `ibex_sim REQUEST`. Exit code 0 means that the report was written,
// however the firmware ended.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <stdexcept>

#include "Vibex_soc.h"
#include "decode.hpp"
#include "host.hpp"
#include "memory.hpp"
#include "profile.hpp"
#include "request.hpp"
#include "verilated.h"

namespace {

constexpr uint64_t kResetCycles = 4;
constexpr uint64_t kSleepLimit = 1000;    // no interrupt can wake the core: longer is for ever
constexpr uint64_t kTimeCheck = 1u << 16; // cycles between two looks at the clock
constexpr uint32_t kMaxWaitStates = 15;

struct AccessCounts {
    uint64_t flash = 0, ram = 0, host = 0;

    void add(uint32_t address) {
        (Memory::in_flash(address) ? flash : Memory::in_ram(address) ? ram : host)++;
    }
};

class Simulation {
  public:
    explicit Simulation(const Request &request)
        : request_(request), soc_(std::make_unique<Vibex_soc>()), memory_(soc_->rootp),
          host_(memory_, request.console, request.console_limit) {
        for (const FunctionRange &function : request.functions) {
            profile_.add_function(function.address, function.bytes, function.name);
        }
        load();
    }

    void run();
    void write_report() const;

  private:
    void load();
    void clock();
    void serve_host();
    void observe();
    bool timed_out() const;

    const Request &request_;
    std::unique_ptr<Vibex_soc> soc_;
    Memory memory_;
    Host host_;
    Profile profile_;
    AccessCounts loads_, stores_;
    uint64_t cycle_ = 0, end_cycle_ = 0, asleep_ = 0;
    uint32_t exit_address_ = 0; // of the store that asked for the end
    const char *end_ = nullptr;
    pid_t parent_ = getppid();
    std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

void Simulation::load() {
    std::ifstream image(request_.image, std::ios::binary);
    for (const Segment &segment : request_.segments) {
        if (!Memory::holds(segment.address, segment.bytes, false)) {
            throw std::runtime_error("a segment of the image lies outside of the memories");
        }
        image.seekg(static_cast<std::streamoff>(segment.offset));
        if (!image.read(reinterpret_cast<char *>(memory_.at(segment.address)), segment.bytes)) {
            throw std::runtime_error("cannot read " + request_.image);
        }
    }
}

void Simulation::clock() {
    soc_->clk_i = 1;
    soc_->eval();
    soc_->clk_i = 0;
    soc_->eval();
}

void Simulation::run() {
    soc_->flash_wait_states_i = static_cast<uint8_t>(request_.flash_wait_states);
    soc_->ram_wait_states_i = static_cast<uint8_t>(request_.ram_wait_states);
    soc_->rst_ni = 0;
    soc_->clk_i = 0;
    soc_->eval();
    for (uint64_t i = 0; i < kResetCycles; i++) {
        clock();
    }
    soc_->rst_ni = 1;
    profile_.start(0);
    while (end_ == nullptr) {
        clock();
        cycle_++;
        serve_host();
        observe();
        if (cycle_ % kTimeCheck == 0 && end_ == nullptr && timed_out()) {
            end_ = "timeout";
        }
    }
    end_cycle_ = cycle_;
    profile_.finish();
}

void Simulation::serve_host() {
    if (soc_->console_valid_o) {
        host_.print(static_cast<uint8_t>(soc_->host_data_o));
    } else if (soc_->exit_valid_o) {
        host_.exit(soc_->host_data_o);
        exit_address_ = Memory::kExit;
    } else if (soc_->call_valid_o) {
        soc_->host_result_i = host_.call(soc_->host_operation_o, soc_->host_data_o);
        exit_address_ = Memory::kArgument;
    }
}

// The run ends when the store that asked for it retires, so that instructions and cycles are those up to it.
void Simulation::observe() {
    if (soc_->rvfi_valid_o) {
        const Retired retired{soc_->rvfi_pc_o, soc_->rvfi_insn_o, soc_->rvfi_rd_addr_o, soc_->rvfi_rd_wdata_o};
        profile_.retire(retired, cycle_);
        if (is_load(retired.insn)) {
            loads_.add(soc_->rvfi_mem_addr_o);
        } else if (is_store(retired.insn)) {
            stores_.add(soc_->rvfi_mem_addr_o);
            if (host_.exit_code() && soc_->rvfi_mem_addr_o == exit_address_) {
                end_ = "exit";
            }
        }
    }
    if (soc_->double_fault_o && end_ == nullptr) {
        end_ = "double fault";
    }
    asleep_ = soc_->sleep_o ? asleep_ + 1 : 0;
    if (asleep_ > kSleepLimit && end_ == nullptr) {
        end_ = "sleep";
    }
}

bool Simulation::timed_out() const {
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - started_;
    // Without the process that started it, nobody waits for the report.
    return elapsed.count() > request_.timeout_s || getppid() != parent_;
}

void write_counts(FILE *out, const char *name, const AccessCounts &counts) {
    std::fprintf(out, "\"%s\": {\"flash\": %llu, \"ram\": %llu, \"host\": %llu},\n", name,
                 static_cast<unsigned long long>(counts.flash), static_cast<unsigned long long>(counts.ram),
                 static_cast<unsigned long long>(counts.host));
}

void Simulation::write_report() const {
    FILE *out = std::fopen(request_.report.c_str(), "w");
    if (out == nullptr) {
        throw std::runtime_error("cannot write " + request_.report);
    }
    std::fprintf(out, "{\"end\": \"%s\", \"exit_code\": %u, \"cycles\": %llu, \"instructions\": %llu, \"pc\": %u,\n",
                 end_, host_.exit_code().value_or(0), static_cast<unsigned long long>(end_cycle_),
                 static_cast<unsigned long long>(profile_.instructions()), profile_.last_pc());
    std::fprintf(out, "\"stack_top\": %u, \"lowest_stack\": %u, \"lowest_stack_pc\": %u,\n", profile_.stack_top(),
                 profile_.lowest_stack(), profile_.lowest_stack_pc());
    write_counts(out, "loads", loads_);
    write_counts(out, "stores", stores_);
    profile_.write_functions(out);
    std::fprintf(out, "}\n");
    if (std::fclose(out) != 0) {
        throw std::runtime_error("cannot write " + request_.report);
    }
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: ibex_sim REQUEST\n");
        return 2;
    }
    try {
        const Request request = read_request(argv[1]);
        if (request.flash_wait_states > kMaxWaitStates || request.ram_wait_states > kMaxWaitStates) {
            throw std::runtime_error("a memory can have 15 wait states at most");
        }
        Simulation simulation(request);
        simulation.run();
        simulation.write_report();
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
