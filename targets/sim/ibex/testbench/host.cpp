// SPDX-License-Identifier: Apache-2.0
#include "host.hpp"

#include <cstring>

namespace {

constexpr uint32_t kFailed = 0xffffffff;
constexpr uint32_t kApplicationExit = 0x20026; // ADP_Stopped_ApplicationExit

enum Operation : uint32_t {
    kOpen = 0x01,
    kClose = 0x02,
    kWrite0 = 0x04,
    kWrite = 0x05,
    kRead = 0x06,
    kSeek = 0x0a,
    kExit = 0x18,
    kExitExtended = 0x20,
};

// fopen's modes by their semihosting numbers, SYS_OPEN.
constexpr const char *kModes[] = {"r", "rb", "r+", "r+b", "w", "wb", "w+", "w+b", "a", "ab", "a+", "a+b"};

} // namespace

Host::Host(Memory &memory, const std::string &console, uint64_t limit)
    : memory_(memory), console_(std::fopen(console.c_str(), "wb")), console_left_(limit) {
}

Host::~Host() {
    for (FILE *file : files_) {
        if (file != nullptr) {
            std::fclose(file);
        }
    }
    if (console_ != nullptr) {
        std::fclose(console_);
    }
}

uint32_t Host::call(uint32_t operation, uint32_t argument) {
    switch (operation) {
    case kOpen:
        return open(argument);
    case kClose:
        return close(argument);
    case kWrite0:
        return write0(argument);
    case kWrite:
        return transfer(argument, true);
    case kRead:
        return transfer(argument, false);
    case kSeek:
        return seek(argument);
    case kExit: // the reason itself is the argument
        exit(argument == kApplicationExit ? 0 : 1);
        return 0;
    case kExitExtended:
        if (auto words = block(argument, 2)) {
            exit((*words)[0] == kApplicationExit ? (*words)[1] : 1);
            return 0;
        }
        return kFailed;
    default:
        return kFailed;
    }
}

void Host::print(uint8_t byte) {
    if (console_ != nullptr && console_left_ > 0) {
        console_left_--;
        std::fputc(byte, console_);
    }
}

std::optional<std::vector<uint32_t>> Host::block(uint32_t address, uint32_t words) {
    if (address % 4 != 0 || !Memory::holds(address, 4 * words, false)) {
        return std::nullopt;
    }
    std::vector<uint32_t> values(words);
    std::memcpy(values.data(), memory_.at(address), 4 * words);
    return values;
}

FILE *Host::file(uint32_t handle) {
    return handle == 0 || handle > files_.size() ? nullptr : files_[handle - 1];
}

uint32_t Host::open(uint32_t argument) {
    const auto words = block(argument, 3); // path, mode, length of the path
    if (!words || (*words)[1] >= sizeof kModes / sizeof kModes[0] || !Memory::holds((*words)[0], (*words)[2], false)) {
        return kFailed;
    }
    const std::string path(reinterpret_cast<const char *>(memory_.at((*words)[0])), (*words)[2]);
    FILE *opened = std::fopen(path.c_str(), kModes[(*words)[1]]);
    if (opened == nullptr) {
        return kFailed;
    }
    files_.push_back(opened);
    return static_cast<uint32_t>(files_.size());
}

uint32_t Host::close(uint32_t argument) {
    const auto words = block(argument, 1);
    FILE *closed = words ? file((*words)[0]) : nullptr;
    if (closed == nullptr) {
        return kFailed;
    }
    files_[(*words)[0] - 1] = nullptr;
    return std::fclose(closed) == 0 ? 0 : kFailed;
}

uint32_t Host::write0(uint32_t argument) {
    for (uint32_t address = argument;; address++) {
        const uint8_t *byte = memory_.at(address);
        if (byte == nullptr || *byte == 0) {
            return byte == nullptr ? kFailed : 0;
        }
        print(*byte);
    }
}

// SYS_READ and SYS_WRITE: handle, data, bytes; both return the bytes that were not moved.
uint32_t Host::transfer(uint32_t argument, bool write) {
    const auto words = block(argument, 3);
    if (!words) {
        return kFailed;
    }
    const uint32_t address = (*words)[1], bytes = (*words)[2];
    FILE *stream = file((*words)[0]);
    if (stream == nullptr || !Memory::holds(address, bytes, !write)) {
        return write ? bytes : kFailed;
    }
    uint8_t *data = memory_.at(address);
    const size_t moved = write ? std::fwrite(data, 1, bytes, stream) : std::fread(data, 1, bytes, stream);
    return std::ferror(stream) && !write ? kFailed : bytes - static_cast<uint32_t>(moved);
}

// SYS_SEEK: handle, position from the start of the file.
uint32_t Host::seek(uint32_t argument) {
    const auto words = block(argument, 2);
    FILE *stream = words ? file((*words)[0]) : nullptr;
    return stream != nullptr && std::fseek(stream, static_cast<long>((*words)[1]), SEEK_SET) == 0 ? 0 : kFailed;
}
