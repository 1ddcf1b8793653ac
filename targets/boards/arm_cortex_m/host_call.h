/* SPDX-License-Identifier: 0BSD */
/* How a semihosting call reaches the host on this core. */
#ifndef HOST_CALL_H
#define HOST_CALL_H

#include <stdint.h>

/* The host acts on BKPT 0xAB: r0 holds the operation and then the result, r1 its argument. */
static inline int32_t host_call(uint32_t operation, uintptr_t argument) {
    register uint32_t r0 __asm__("r0") = operation;
    register uintptr_t r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return (int32_t)r0;
}

#endif
