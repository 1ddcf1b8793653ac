/* SPDX-License-Identifier: 0BSD */
/* What start-up code does to RAM before main, and how much stack was used since.
 *
 * All pointers are volatile: the compiler must not turn these loops into calls, which would write to the stack that is
 * being painted. */
#ifndef START_MEMORY_H
#define START_MEMORY_H

#include <stdint.h>

#define STACK_PAINT 0xC5C5C5C5u

/* Set by the linker script. */
extern uint32_t __stack_limit[], __stack_top[];
extern uint32_t __data_start[], __data_end[], __data_load[];
extern uint32_t __fast_start[], __fast_end[], __fast_load[];
extern uint32_t __fast_code_start[], __fast_code_end[], __fast_code_load[];
extern uint32_t __bss_start[], __bss_end[];

/* Paints the stack below the stack pointer. */
static inline void paint_stack(const uint32_t *stack_pointer) {
    for (volatile uint32_t *word = __stack_limit; word < stack_pointer; word++) {
        *word = STACK_PAINT;
    }
}

/* Copies words from flash to [start, end) in RAM. */
static inline void copy_words(uint32_t *start, const uint32_t *end, const uint32_t *load) {
    for (volatile uint32_t *word = start; word < end; word++) {
        *word = *load++;
    }
}

/* Gives static variables, fast constants and code in RAM their first values. */
static inline void initialize_variables(void) {
    copy_words(__data_start, __data_end, __data_load);
    copy_words(__fast_start, __fast_end, __fast_load);
#ifdef BOARD_FAST_CODE
    copy_words(__fast_code_start, __fast_code_end, __fast_code_load);
#endif
    for (volatile uint32_t *word = __bss_start; word < __bss_end; word++) {
        *word = 0;
    }
}

static inline uint32_t stack_bytes(void) {
    return (uint32_t)((uintptr_t)__stack_top - (uintptr_t)__stack_limit);
}

/* Bytes of stack from its top down to the last word that is not paint. */
static inline uint32_t stack_used(void) {
    const volatile uint32_t *word = __stack_limit;
    while (word < __stack_top && *word == STACK_PAINT) {
        word++;
    }
    return (uint32_t)((uintptr_t)__stack_top - (uintptr_t)word);
}

#endif
