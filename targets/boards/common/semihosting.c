/* SPDX-License-Identifier: 0BSD */
#include "semihosting.h"

#include "host_call.h"

/* Operation numbers and reasons: "Semihosting for AArch32 and AArch64", sections 6 and 5.6. */
#define SYS_OPEN 0x01u
#define SYS_CLOSE 0x02u
#define SYS_WRITE0 0x04u
#define SYS_WRITE 0x05u
#define SYS_READ 0x06u
#define SYS_SEEK 0x0Au
#define SYS_EXIT 0x18u
#define SYS_EXIT_EXTENDED 0x20u
#define STOPPED_RUN_TIME_ERROR 0x20023u
#define STOPPED_APPLICATION_EXIT 0x20026u

static int32_t call_with_block(uint32_t operation, const volatile uint32_t *block) {
    return host_call(operation, (uintptr_t)block);
}

int32_t semihosting_open(const char *path, uint32_t mode) {
    /* Volatile: else the compiler makes this a call of the C library's strlen. */
    const volatile char *end = path;
    while (*end != '\0') {
        end++;
    }
    const uint32_t length = (uint32_t)((uintptr_t)end - (uintptr_t)path);
    const volatile uint32_t block[3] = {(uint32_t)(uintptr_t)path, mode, length};
    return call_with_block(SYS_OPEN, block);
}

int32_t semihosting_close(int32_t handle) {
    const volatile uint32_t block[1] = {(uint32_t)handle};
    return call_with_block(SYS_CLOSE, block);
}

int32_t semihosting_read(int32_t handle, void *data, uint32_t bytes) {
    const volatile uint32_t block[3] = {(uint32_t)handle, (uint32_t)(uintptr_t)data, bytes};
    const int32_t missing = call_with_block(SYS_READ, block);
    if (missing < 0 || (uint32_t)missing > bytes) {
        return -1;
    }
    return (int32_t)(bytes - (uint32_t)missing);
}

int32_t semihosting_seek(int32_t handle, uint32_t position) {
    const volatile uint32_t block[2] = {(uint32_t)handle, position};
    return call_with_block(SYS_SEEK, block) == 0 ? 0 : -1;
}

int32_t semihosting_write(int32_t handle, const void *data, uint32_t bytes) {
    const volatile uint32_t block[3] = {(uint32_t)handle, (uint32_t)(uintptr_t)data, bytes};
    return call_with_block(SYS_WRITE, block) == 0 ? 0 : -1;
}

void semihosting_write0(const char *text) {
    (void)host_call(SYS_WRITE0, (uintptr_t)text);
}

void semihosting_write_u32(uint32_t value) {
    char text[11]; // 4294967295
    char *digit = &text[sizeof text - 1];
    *digit = '\0';
    do {
        *--digit = (char)('0' + (char)(value % 10u));
        value /= 10u;
    } while (value != 0u);
    semihosting_write0(digit);
}

void semihosting_write_hex(uint32_t value) {
    char text[11]; // 0x89abcdef
    text[0] = '0';
    text[1] = 'x';
    for (uint32_t i = 0; i < 8u; i++) {
        text[2u + i] = "0123456789abcdef"[(value >> (28u - 4u * i)) & 15u];
    }
    text[10] = '\0';
    semihosting_write0(text);
}

void semihosting_exit(int32_t code) {
    /* Hosts keep eight bits of the code: 256 must not become a success. */
    const uint32_t kept = code < 0 || code > 255 ? 255u : (uint32_t)code;
    const volatile uint32_t block[2] = {STOPPED_APPLICATION_EXIT, kept};
    (void)call_with_block(SYS_EXIT_EXTENDED, block);
    /* A debugger without the extended call: success or failure is all that it can take. */
    (void)host_call(SYS_EXIT, code == 0 ? STOPPED_APPLICATION_EXIT : STOPPED_RUN_TIME_ERROR);
    for (;;) {
    }
}
