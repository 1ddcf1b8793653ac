/* SPDX-License-Identifier: 0BSD */
/* Start-up for Ibex: trap vectors, initialization of RAM, and a fault handler that tells the host where the firmware
 * stopped. The stack lies at the very start of RAM (see the linker script), so a stack that overruns its space leaves
 * RAM and faults at once instead of spoiling data. */
#include "board.h"
#include "semihosting.h"
#include "start_memory.h"

int main(void);
void Reset_Handler(void);
void Trap_Handler(void);
__attribute__((noreturn)) void board_start(void);
__attribute__((noreturn)) void board_report_fault(uint32_t stack_pointer, uint32_t return_address);

/* Ibex takes an exception at word 0 of the table and interrupt n at word n, and resets to 0x80 behind its start. No
 * interrupt is used: each of them is a fault. */
__asm__(".section .vectors, \"ax\", @progbits\n"
        ".option push\n"
        ".option norvc\n"
        ".type vectors, @function\n"
        "vectors:\n"
        ".rept 32\n"
        "j Trap_Handler\n"
        ".endr\n"
        "j Reset_Handler\n"
        ".size vectors, . - vectors\n"
        ".option pop\n"
        ".text\n");

__attribute__((naked)) void Reset_Handler(void) {
    __asm__ volatile(".option push\n\t"
                     ".option norelax\n\t" // relaxed, this would be gp = gp
                     "la gp, __global_pointer$\n\t"
                     ".option pop\n\t"
                     "la sp, __stack_top\n\t"
                     "j board_start");
}

void board_start(void) {
    uint32_t *stack_pointer;
    __asm__ volatile("mv %0, sp" : "=r"(stack_pointer));
    paint_stack(stack_pointer);
    initialize_variables();
    semihosting_exit(main());
}

uint32_t board_stack_bytes(void) {
    return stack_bytes();
}

uint32_t board_stack_used(void) {
    return stack_used();
}

/* The handler needs stack, and after an overrun there is none. Nobody returns from here, so it takes the end of RAM,
 * used or not. */
__attribute__((naked)) void Trap_Handler(void) {
    __asm__ volatile("mv a0, sp\n\t"
                     "mv a1, ra\n\t"
                     "la sp, __ram_end\n\t"
                     "j board_report_fault");
}

/* Control and status registers are an extension of their own, which -march=rv32imc does not name. */
#define READ_CSR(name, value)                                                                                          \
    __asm__ volatile(".option push\n\t.option arch, +zicsr\n\tcsrr %0, " name "\n\t.option pop" : "=r"(value))

static void write_register(const char *name, uint32_t value) {
    semihosting_write0(name);
    semihosting_write_hex(value);
}

void board_report_fault(uint32_t stack_pointer, uint32_t return_address) {
    uint32_t pc, cause, address;
    READ_CSR("mepc", pc);
    READ_CSR("mcause", cause);
    READ_CSR("mtval", address);
    const int inside = stack_pointer >= (uintptr_t)__stack_limit && stack_pointer <= (uintptr_t)__stack_top;
    write_register(inside ? "thimble: fault pc=" : "thimble: stack-overrun pc=", pc);
    write_register(" lr=", return_address);
    write_register(" sp=", stack_pointer);
    write_register(" cause=", cause);
    write_register(" address=", address);
    semihosting_write0("\n");
    semihosting_exit(BOARD_EXIT_FAULT);
}
