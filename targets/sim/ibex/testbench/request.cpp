// SPDX-License-Identifier: Apache-2.0
#include "request.hpp"

#include <fstream>
#include <sstream>
#include <stdexcept>

namespace {

bool read_statement(const std::string &key, std::istringstream &values, Request &request) {
    if (key == "image" || key == "console" || key == "report") {
        std::string &path = key == "image" ? request.image : key == "console" ? request.console : request.report;
        std::getline(values >> std::ws, path);
    } else if (key == "console_limit") {
        values >> request.console_limit;
    } else if (key == "timeout_s") {
        values >> request.timeout_s;
    } else if (key == "wait_states") {
        values >> request.flash_wait_states >> request.ram_wait_states;
    } else if (key == "segment") {
        Segment segment{};
        values >> segment.address >> segment.offset >> segment.bytes;
        request.segments.push_back(segment);
    } else if (key == "function") {
        FunctionRange function{};
        values >> function.address >> function.bytes >> function.name;
        request.functions.push_back(function);
    } else {
        return false;
    }
    return !values.fail();
}

} // namespace

Request read_request(const std::string &path) {
    std::ifstream file(path);
    if (!file) {
        throw std::runtime_error("cannot read " + path);
    }
    Request request;
    for (std::string line; std::getline(file, line);) {
        std::istringstream values(line);
        std::string key;
        if (values >> key && !read_statement(key, values, request)) {
            throw std::runtime_error("bad statement in " + path + ": " + line);
        }
    }
    return request;
}
