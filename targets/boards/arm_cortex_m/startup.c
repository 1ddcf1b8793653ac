/* SPDX-License-Identifier: 0BSD */
/* Start-up for Cortex-M: vector table, initialization of RAM, and a fault handler that tells the host where the
 * firmware stopped. The stack lies at the very start of RAM (see the linker script), so a stack that overruns its
 * space leaves RAM and faults at once instead of spoiling data. */
#include "board.h"
#include "semihosting.h"
#include "start_memory.h"

/* Armv7-M and Armv8-M Mainline have fault status; Armv6-M and Baseline have not. */
#define HAS_FAULT_STATUS (__ARM_ARCH_ISA_THUMB >= 2)

#define MPU_TYPE (*(volatile uint32_t *)0xE000ED90u)
#define MPU_CTRL (*(volatile uint32_t *)0xE000ED94u)
#define MPU_RBAR (*(volatile uint32_t *)0xE000ED9Cu)
#define MPU_RASR (*(volatile uint32_t *)0xE000EDA0u)
#define SCB_VTOR (*(volatile uint32_t *)0xE000ED08u)
#define SCB_CCR (*(volatile uint32_t *)0xE000ED14u)
#define SCB_CFSR (*(volatile uint32_t *)0xE000ED28u)
#define SCB_HFSR (*(volatile uint32_t *)0xE000ED2Cu)
#define SCB_MMFAR (*(volatile uint32_t *)0xE000ED34u)
#define SCB_BFAR (*(volatile uint32_t *)0xE000ED38u)
#define SCB_CPACR (*(volatile uint32_t *)0xE000ED88u)
#define CCR_UNALIGN_TRP (1u << 3)
#define CCR_DIV_0_TRP (1u << 4)
#define CFSR_MSTKERR (1u << 4)
#define CFSR_MMARVALID (1u << 7)
#define CFSR_STKERR (1u << 12)
#define CFSR_BFARVALID (1u << 15)
#define CFSR_STKOF (1u << 20)
#define HFSR_DEBUGEVT (1u << 31)

/* Set by the linker script. */
extern uint16_t __text_start[], __text_end[];

int main(void);
void Reset_Handler(void);
void Fault_Handler(void);
__attribute__((noreturn)) void board_report_fault(const uint32_t *frame);

struct vector_table {
    uint32_t *stack_top;
    void (*reset)(void);
    void (*exceptions[14])(void); // numbers 2 (NMI) to 15 (SysTick)
    void (*interrupts[BOARD_INTERRUPTS])(void);
};

/* No exception and no interrupt is used: each of them is a fault. */
#define F Fault_Handler
__attribute__((section(".vectors"), used)) static const struct vector_table vectors = {
    .stack_top = __stack_top,
    .reset = Reset_Handler,
    .exceptions = {F, F, F, F, F, F, F, F, F, F, F, F, F, F},
    .interrupts = {BOARD_INTERRUPT_VECTORS(F)},
};
#undef F

/* Makes an overrun of the stack fault at once, however long, before it takes any data with it. */
static void guard_stack(void) {
#if defined(__ARM_ARCH_8M_MAIN__) || defined(__ARM_ARCH_8_1M_MAIN__)
    __asm__ volatile("msr msplim, %0" ::"r"(__stack_limit));
#elif defined(__ARM_ARCH_8M_BASE__)
    /* No stack limit in the Non-secure state and another kind of MPU: the chip's bus must give the fault. */
#else
    /* MPU region 0 closes the 16 MB below the stack: no access, execute never, 2^24 bytes; the rest keeps the
     * default map (Arm DDI 0403, B3.5.6 to B3.5.9). A chip without an MPU relies on its bus. */
    if ((MPU_TYPE >> 8 & 0xFFu) != 0u) {
        MPU_RBAR = ((uint32_t)(uintptr_t)__stack_limit - (1u << 24)) | 1u << 4;
        MPU_RASR = 1u << 28 | (24u - 1u) << 1 | 1u;
        MPU_CTRL = 1u << 2 | 1u;
        __asm__ volatile("dsb\n\tisb" ::: "memory");
    }
#endif
}

void Reset_Handler(void) {
    uint32_t *stack_pointer;
    __asm__ volatile("mov %0, sp" : "=r"(stack_pointer));
    paint_stack(stack_pointer);
    SCB_VTOR = (uint32_t)(uintptr_t)&vectors;
#if HAS_FAULT_STATUS
    SCB_CCR |= CCR_DIV_0_TRP;
#else
    /* Armv6-M allows no unaligned access, and the bit is always set there; a larger core that simulates it obeys. */
    SCB_CCR |= CCR_UNALIGN_TRP;
#endif
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    SCB_CPACR |= 0xFu << 20; // full access to CP10 and CP11
    __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
    guard_stack();
    initialize_variables();
#ifdef BOARD_FAST_CODE
    __asm__ volatile("dsb\n\tisb" ::: "memory"); // code was written: nothing of it may have been fetched before
#endif
    semihosting_exit(main());
}

uint32_t board_stack_bytes(void) {
    return stack_bytes();
}

uint32_t board_stack_used(void) {
    return stack_used();
}

/* The handler needs stack, and after an overrun there is none. Nobody returns from here, so it takes the end of RAM,
 * used or not; the old stack stays whole for the report. The frame that the core pushed is passed on. */
__attribute__((naked)) void Fault_Handler(void) {
    __asm__ volatile("mrs r0, msp\n\t"
                     "ldr r1, =__ram_end\n\t"
                     "mov sp, r1\n\t"
                     "bl board_report_fault\n\t"
                     ".ltorg");
}

/* Whether `value` is an address behind a BL or BLX instruction (Arm DDI 0403, A7.7.18 and A7.7.19). */
static int is_return_address(uint32_t value) {
    const uintptr_t address = value - 1u;
    if ((value & 1u) == 0u || address < (uintptr_t)__text_start + 4u || address > (uintptr_t)__text_end) {
        return 0;
    }
    const uint16_t *next = (const uint16_t *)address;
    const int is_bl = (next[-2] & 0xF800u) == 0xF000u && (next[-1] & 0xD000u) == 0xD000u;
    const int is_blx = (next[-1] & 0xFF87u) == 0x4780u;
    return is_bl || is_blx;
}

static void write_register(const char *name, uint32_t value) {
    semihosting_write0(name);
    semihosting_write_hex(value);
}

/* After an overrun the core could not save the program counter. The innermost return address still on the stack
 * tells the function that ran or the one that called it. */
static void report_overrun(const uint32_t *frame) {
    const uint32_t *word = frame < __stack_limit || frame >= __stack_top ? __stack_limit : frame;
    while (word < __stack_top && !is_return_address(*word)) {
        word++;
    }
    write_register("thimble: stack-overrun near=", word < __stack_top ? *word : 0u);
}

void board_report_fault(const uint32_t *frame) {
    uint32_t exception;
    uint32_t status = 0;
    __asm__ volatile("mrs %0, ipsr" : "=r"(exception));
#if HAS_FAULT_STATUS
    while ((SCB_HFSR & HFSR_DEBUGEVT) != 0u) {
        /* No debugger took the semihosting call: nobody is there to report to. */
    }
    status = SCB_CFSR;
#endif
    const uintptr_t address = (uintptr_t)frame;
    const int inside = address >= (uintptr_t)__stack_limit && address + 32u <= (uintptr_t)__stack_top;
    if (!inside || (status & (CFSR_STKERR | CFSR_MSTKERR | CFSR_STKOF)) != 0u) {
        report_overrun(frame);
    } else {
        write_register("thimble: fault pc=", frame[6]);
        write_register(" lr=", frame[5]);
    }
    write_register(" sp=", (uint32_t)address);
    write_register(" exception=", exception);
    write_register(" cfsr=", status);
#if HAS_FAULT_STATUS
    if ((status & CFSR_BFARVALID) != 0u) {
        write_register(" address=", SCB_BFAR);
    } else if ((status & CFSR_MMARVALID) != 0u) {
        write_register(" address=", SCB_MMFAR);
    }
#endif
    semihosting_write0("\n");
    semihosting_exit(BOARD_EXIT_FAULT);
}
