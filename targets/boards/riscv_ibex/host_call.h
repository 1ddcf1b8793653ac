/* SPDX-License-Identifier: 0BSD */
/* How a semihosting call reaches the host on this chip. */
#ifndef HOST_CALL_H
#define HOST_CALL_H

#include <stdint.h>

/* Host registers of the SoC: the host acts on the store to ARGUMENT, before the core goes on. */
#define HOST_OPERATION (*(volatile uint32_t *)0x40000008u)
#define HOST_ARGUMENT (*(volatile uint32_t *)0x4000000Cu)
#define HOST_RESULT (*(volatile uint32_t *)0x40000010u)

static inline int32_t host_call(uint32_t operation, uintptr_t argument) {
    HOST_OPERATION = operation;
    __asm__ volatile("" ::: "memory"); // what the argument points to is in memory now
    HOST_ARGUMENT = (uint32_t)argument;
    __asm__ volatile("" ::: "memory"); // and may have been changed
    return (int32_t)HOST_RESULT;
}

#endif
