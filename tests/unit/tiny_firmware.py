"""Small firmware for the tests of targets and simulators: a make file, C programs, and the build of one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from thimble.targets.build import FirmwareImages, board_files, build_firmware, make_flags
from thimble.targets.model import Target

MAKEFILE = """\
CC = {cc}
CFLAGS = {cflags}
OBJECTS = {objects}
firmware: build/tiny.elf build/tiny_sim.elf
build/%.o: %.c
\t@mkdir -p build
\t$(CC) $(CFLAGS) -c -o $@ $<
build/tiny.elf: $(OBJECTS) chip.ld
\t$(CC) {ldflags_chip} -o $@ $(OBJECTS)
build/tiny_sim.elf: $(OBJECTS) sim.ld
\t$(CC) {ldflags_sim} -o $@ $(OBJECTS)
"""

ECHO = """
#include "board.h"
#include "semihosting.h"
static uint8_t chunk[1000];
static uint32_t counter = 41;
int main(void) {
    const int32_t in = semihosting_open("inputs.bin", SEMIHOSTING_READ);
    const int32_t out = semihosting_open("outputs.bin", SEMIHOSTING_WRITE);
    int32_t got;
    if (in < 0 || out < 0 || counter != 41u || chunk[999] != 0u) { return 2; }
    while ((got = semihosting_read(in, chunk, sizeof chunk)) > 0) {
        if (semihosting_write(out, chunk, (uint32_t)got) != 0) { return 3; }
        counter++;
    }
    if (got != 0 || semihosting_close(in) != 0 || semihosting_close(out) != 0) { return 4; }
    semihosting_write0("thimble: stack_bytes=");
    semihosting_write_u32(board_stack_used());
    semihosting_write0(" reserve=");
    semihosting_write_u32(board_stack_bytes());
    semihosting_write0("\\nthimble: chunks=");
    semihosting_write_u32(counter - 41u);
    semihosting_write0(" word=");
    semihosting_write_hex(0x89ABCDEFu);
    semihosting_write0("\\n");
    return 0;
}
"""

NOINLINE = "#include <stdint.h>\n#define NOINLINE __attribute__((noinline))\n"

FAULT = """
NOINLINE static int poke(volatile int *place) { *place = 5; return *place + 1; }
int main(void) { return poke((volatile int *)0xE0200000) + 1; }
"""

HANG = """
NOINLINE static void wait_for(volatile int *flag) { while (*flag == 0) { } }
int main(void) { volatile int never = 0; wait_for(&never); return 0; }
"""

RECURSION = """
NOINLINE static uint32_t recurse(uint32_t n) {
    volatile uint32_t local[16];
    local[0] = n;
    return (n == 0u ? 0u : recurse(n + 1u)) + local[0];
}
int main(void) { return (int)recurse(1); }
"""

DIVISION_AND_COPIES = """
#include <string.h>
#include <stdint.h>
static volatile int64_t a = 1234567890123, b = -77;
static volatile uint32_t n = 40;
static uint8_t from[64], to[64];
int main(void) {
    memset(from, 7, n);
    memcpy(to, from, n);
    return a / b == -16033349222 && to[39] == 7 && to[40] == 0 ? 0 : 1;
}
"""

# Writes nothing near the end of its stack: only far below it.
LARGE_FRAME = """
NOINLINE static uint32_t outer(volatile uint32_t *at) { return at[0] + 1u; }
NOINLINE static uint32_t large_frame(uint32_t n) {
    volatile uint32_t local[100000];
    local[n] = n;
    return outer(&local[n]) + n;
}
NOINLINE static uint32_t caller(uint32_t n) { return large_frame(n) + 1u; }
int main(void) { return (int)caller(3) + 1; }
"""


def build_tiny(folder: Path, main: str, target: Target) -> FirmwareImages:
    """Build `main` as main.c for a target in `folder`; the ELFs are tiny.elf and tiny_sim.elf."""
    (folder / "main.c").write_text(main)
    return build_tiny_sources(folder, target, ["main.c"])


def build_tiny_sources(folder: Path, target: Target, own: Sequence[str]) -> FirmwareImages:
    """Build the C files `own` that `folder` holds, one of them with main(), for a target."""
    flags = make_flags(target)
    board = board_files(target)
    for name, text in board.items():
        (folder / name).write_text(text)
    sources = [*own, *(name for name in board if name.endswith(".c"))]
    makefile = MAKEFILE.format(
        objects=" ".join(f"build/{Path(name).stem}.o" for name in sources),
        cc=flags.cc,
        cflags=" ".join(flags.cflags),
        ldflags_chip=" ".join(flags.ldflags_chip),
        ldflags_sim=" ".join(flags.ldflags_sim),
    )
    (folder / "Makefile").write_text(makefile)
    return build_firmware(folder, target, "tiny")
