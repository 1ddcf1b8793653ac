// SPDX-License-Identifier: Apache-2.0
// What a run is asked for: the request file, a statement a line, each a key and its values.
#ifndef THIMBLE_REQUEST_HPP
#define THIMBLE_REQUEST_HPP

#include <cstdint>
#include <string>
#include <vector>

struct Segment {
    uint32_t address;
    uint64_t offset; // in the file
    uint32_t bytes;
};

struct FunctionRange {
    uint32_t address, bytes;
    std::string name;
};

struct Request {
    std::string image, console, report;
    uint64_t console_limit = 0;
    double timeout_s = 0;
    uint32_t flash_wait_states = 0, ram_wait_states = 0;
    std::vector<Segment> segments;
    std::vector<FunctionRange> functions;
};

// Throws std::runtime_error that says what is wrong with the file.
Request read_request(const std::string &path);

#endif
