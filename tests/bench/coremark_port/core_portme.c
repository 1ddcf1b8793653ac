/* SPDX-License-Identifier: Apache-2.0 */
#include "board.h"
#include "coremark.h"
#include "semihosting.h"

/* The performance run's seeds; volatile, so that the compiler cannot compute results with them. */
volatile ee_s32 seed1_volatile = 0;
volatile ee_s32 seed2_volatile = 0;
volatile ee_s32 seed3_volatile = 0x66;
volatile ee_s32 seed4_volatile = ITERATIONS;
volatile ee_s32 seed5_volatile = 0;
ee_u32 default_num_contexts = 1;

static CORE_TICKS started, stopped;

static CORE_TICKS cycles(void) {
    CORE_TICKS value;
    __asm__ volatile(".option push\n\t.option arch, +zicsr\n\tcsrr %0, mcycle\n\t.option pop" : "=r"(value)::"memory");
    return value;
}

void start_time(void) {
    started = cycles();
}

void stop_time(void) {
    stopped = cycles();
}

CORE_TICKS get_time(void) {
    return stopped - started;
}

secs_ret time_in_secs(CORE_TICKS ticks) {
    return ticks / BOARD_CLOCK_HZ;
}

void portable_init(core_portable *p, int *argc, char *argv[]) {
    (void)argc;
    (void)argv;
    p->portable_id = 1;
}

void portable_fini(core_portable *p) {
    p->portable_id = 0;
    semihosting_write0("thimble: coremark_cycles=");
    semihosting_write_u32(get_time());
    semihosting_write0("\n");
}

/* The words of the format alone: they tell errors, and "Correct operation validated". */
int ee_printf(const char *format, ...) {
    semihosting_write0(format);
    return 0;
}
