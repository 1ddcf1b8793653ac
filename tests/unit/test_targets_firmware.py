"""Small C programs go the whole way: board files, make, ELF, QEMU; and every way to fail says where."""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from tests.unit.tiny_firmware import (
    DIVISION_AND_COPIES,
    ECHO,
    FAULT,
    HANG,
    LARGE_FRAME,
    NOINLINE,
    RECURSION,
    build_tiny,
)
from thimble.compiler.ir.errors import DoesNotFit, SimulationFailed, ThimbleError
from thimble.targets.build import DEFAULT_STACK_BYTES, FirmwareImages, board_files, build_error, build_firmware
from thimble.targets.elf import function_at, read_sizes
from thimble.targets.model import Target, list_targets, load_target
from thimble.targets.sim import firmware, qemu
from thimble.targets.sim.trace import Trace

READ_UNALIGNED = """
static uint32_t words[2];
NOINLINE static uint32_t read_word(uintptr_t at) {
    uint32_t word;
    __asm__ volatile("ldr %0, [%1]" : "=l"(word) : "l"(at) : "memory");
    return word;
}
int main(void) { return (int)read_word((uintptr_t)words + 1u); }
"""

ARM_TARGETS = [name for name in list_targets() if load_target(name).board == "arm_cortex_m"]

Builder = Callable[[str, str | Target], FirmwareImages]


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    """A function that builds one main.c for one target in this test's folder."""

    def build_main(main: str, chip: str | Target = "stm32f411re") -> FirmwareImages:
        target = load_target(chip) if isinstance(chip, str) else chip
        return build_tiny(tmp_path, main, target)

    return build_main


def simulate(images: FirmwareImages, timeout_s: float = 60, target_name: str = "stm32f411re") -> Trace:
    return qemu.run(images.sim_elf, load_target(target_name), images.sim_elf.parent, timeout_s)


@pytest.mark.parametrize("name", ARM_TARGETS)
def test_echo_on_every_target(name: str, build: Builder) -> None:
    images = build(ECHO, name)
    data = random.Random(name).randbytes(4567)
    (images.sim_elf.parent / "inputs.bin").write_bytes(data)
    trace = simulate(images, target_name=name)
    assert (images.sim_elf.parent / "outputs.bin").read_bytes() == data
    assert (trace.exit_code, trace.stats["chunks"], trace.stats["word"]) == (0, 5, 0x89ABCDEF)
    assert trace.stats["reserve"] == DEFAULT_STACK_BYTES
    assert trace.peak_stack_bytes is not None
    assert 16 < trace.peak_stack_bytes < 400
    assert (trace.cycles, trace.instructions, trace.timing) == (None, None, None)

    target = load_target(name)
    stack_top, entry = first_words(images.chip_elf, target.flash.origin + boot_bytes(target))
    assert stack_top == target.ram.origin + DEFAULT_STACK_BYTES
    sizes = read_sizes(images.chip_elf)
    assert function_at(sizes.symbols, entry) == "Reset_Handler"
    assert entry & 1


# A chip for each kind of core: stack limit or MPU, fault status or none.
OTHER_CORES = ("stm32g0b1re", "rp2040", "stm32f207zg", "stm32h743zi", "nrf5340", "mps3-an547")


@pytest.mark.parametrize("name", OTHER_CORES)
@pytest.mark.parametrize("main", [RECURSION, LARGE_FRAME], ids=["recursion", "large frame"])
def test_every_core_catches_a_stack_overrun(name: str, main: str, build: Builder) -> None:
    with pytest.raises(SimulationFailed, match=r"overran its stack in or below (recurse|large_frame)\S* at 0x"):
        simulate(build(NOINLINE + main, name), target_name=name)


@pytest.mark.parametrize("name", OTHER_CORES)
def test_every_core_names_the_function_of_a_fault(name: str, build: Builder) -> None:
    with pytest.raises(SimulationFailed, match=r"faulted in poke\S* at 0x"):
        simulate(build(NOINLINE + FAULT, name), target_name=name)


def test_unaligned_access_faults_as_on_armv6m(build: Builder) -> None:
    """The simulating core would allow it, the chip would not."""
    with pytest.raises(SimulationFailed, match=r"faulted in read_word\S* at 0x"):
        simulate(build(NOINLINE + READ_UNALIGNED, "rp2040"), target_name="rp2040")
    assert simulate(build(NOINLINE + READ_UNALIGNED, "stm32f411re")).exit_code == 0


def test_only_armv6m_code_is_linked(build: Builder) -> None:
    """Instructions of a larger core would run in the simulator and fault on the chip: the linker marks the image."""
    images = build(DIVISION_AND_COPIES, "stm32g0b1re")
    assert simulate(images, target_name="stm32g0b1re").exit_code == 0
    output = subprocess.run(["arm-none-eabi-readelf", "-A", str(images.chip_elf)], capture_output=True, text=True)
    assert re.search(r"Tag_CPU_arch: v6S?-M", output.stdout)


def boot_bytes(target: Target) -> int:
    return target.boot_stage.bytes if target.boot_stage else 0


def first_words(elf: Path, address: int) -> tuple[int, int]:
    """The two words that the image loads at `address`."""
    with elf.open("rb") as stream:
        for segment in ELFFile(stream).iter_segments("PT_LOAD"):
            offset = address - segment["p_paddr"]
            if 0 <= offset < segment["p_filesz"]:
                data = segment.data()[offset:]
                return int.from_bytes(data[:4], "little"), int.from_bytes(data[4:8], "little")
    raise AssertionError(f"nothing is loaded at 0x{address:08x}")


def test_sizes(build: Builder) -> None:
    images = build(ECHO, "stm32f411re")
    chip, simulated = read_sizes(images.chip_elf), read_sizes(images.sim_elf)
    symbols = {symbol.name: symbol for symbol in chip.symbols}
    assert (symbols["chunk"].bytes, symbols["chunk"].section, symbols["chunk"].kind) == (1000, ".bss", "object")
    assert (symbols["counter"].bytes, symbols["counter"].section) == (4, ".data")
    assert (symbols["vectors"].bytes, symbols["vectors"].address) == (4 * (16 + 86), 0x0800_0000)
    assert (symbols["main"].kind, symbols["main"].section) == ("function", ".text")
    assert (chip.data_bytes, chip.bss_bytes, chip.ram_static_bytes) == (4, 1000, 1004)
    assert chip.stack_reserve_bytes == DEFAULT_STACK_BYTES
    parts = chip.text_bytes + chip.rodata_bytes + chip.data_bytes
    assert parts <= chip.flash_total_bytes <= parts + 16
    # What GNU size counts, by another reader of the same file.
    output = subprocess.run(
        ["arm-none-eabi-size", str(images.chip_elf)], capture_output=True, text=True, check=True
    ).stdout
    text, data, bss = map(int, output.splitlines()[1].split()[:3])
    assert text == chip.text_bytes + chip.rodata_bytes
    assert (data, bss) == (chip.data_bytes, chip.bss_bytes + chip.stack_reserve_bytes)
    assert chip.symbols != simulated.symbols
    assert [s.bytes for s in chip.symbols] == [s.bytes for s in simulated.symbols]


def test_image_has_no_heap_and_no_host_library(build: Builder) -> None:
    names = {symbol.name for symbol in read_sizes(build(ECHO, "nrf52840").chip_elf).symbols}
    assert not names & {"malloc", "free", "_sbrk", "_exit", "printf", "__libc_init_array"}
    with pytest.raises(ThimbleError, match=r"undefined reference to `_?sbrk'"):
        build("#include <stdlib.h>\nint main(void) { return malloc(9) != 0; }", "nrf52840")


def test_two_builds_are_identical(build: Builder, tmp_path: Path) -> None:
    images = build(ECHO, "nrf52840")
    moved = tmp_path / "another" / "place"
    shutil.copytree(tmp_path, moved, ignore=shutil.ignore_patterns("build", "another"))
    again = build_firmware(moved, load_target("nrf52840"), "tiny")
    for first, second in ((images.chip_elf, again.chip_elf), (images.sim_elf, again.sim_elf)):
        assert hashlib.sha256(first.read_bytes()).digest() == hashlib.sha256(second.read_bytes()).digest()


def test_64_bit_division_and_copies_link(build: Builder) -> None:
    images = build(DIVISION_AND_COPIES, "stm32f411re")
    assert simulate(images).exit_code == 0
    assert read_sizes(images.chip_elf).text_bytes < 2500  # no unwinder came along


def test_fault_names_the_function(build: Builder) -> None:
    with pytest.raises(SimulationFailed, match=r"faulted in poke\S* at 0x0.* access to 0xe0200000.*data bus error"):
        simulate(build(NOINLINE + FAULT, "stm32f411re"))


def test_undefined_instruction(build: Builder) -> None:
    main = 'int main(void) { __asm__ volatile("udf #0"); return 0; }'
    with pytest.raises(SimulationFailed, match=r"faulted in main at .*undefined instruction"):
        simulate(build(main, "stm32f411re"))


def test_division_by_zero_is_a_fault(build: Builder) -> None:
    main = "static volatile int zero = 0;\nint main(void) { return 5 / zero; }"
    with pytest.raises(SimulationFailed, match=r"faulted in main at .*division by zero"):
        simulate(build(main, "stm32f411re"))


def test_hang_names_the_function(build: Builder) -> None:
    with pytest.raises(SimulationFailed, match=r"did not end within 0.5 s; it was in wait_for\S* at 0x"):
        simulate(build(NOINLINE + HANG, "stm32f411re"), timeout_s=0.5)


def test_endless_console_is_cut(build: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firmware, "MAX_CONSOLE_CHARACTERS", 100)
    loop = 'for (int i = 0; i < 99; i++) { semihosting_write0("word\\n"); }'
    main = f'#include "semihosting.h"\nint main(void) {{ {loop} return 0; }}'
    assert len(simulate(build(main, "stm32f411re")).console) == 100


@pytest.mark.parametrize(("code", "kept"), [(3, 3), (256, 255), (-1, 255)])
def test_exit_code_and_last_words(build: Builder, code: int, kept: int) -> None:
    main = f'#include "semihosting.h"\nint main(void) {{ semihosting_write0("no inputs.bin\\n"); return {code}; }}'
    with pytest.raises(SimulationFailed, match=f"ended with exit code {kept}. Its last words: no inputs.bin"):
        simulate(build(main, "stm32f411re"))


def test_recursion_overruns_the_stack(build: Builder) -> None:
    with pytest.raises(SimulationFailed, match=r"overran its stack in or below recurse\S* at 0x"):
        simulate(build(NOINLINE + RECURSION, "stm32f411re"))


def test_large_frame_overruns_the_stack(build: Builder) -> None:
    with pytest.raises(SimulationFailed, match=r"overran its stack in or below large_frame\S* at 0x"):
        simulate(build(NOINLINE + LARGE_FRAME, "stm32f411re"))


def test_stack_reserve_of_the_link(build: Builder, tmp_path: Path) -> None:
    """The reserve that board_files renders is the default; the same source overruns a smaller one only."""
    main = """
#include "board.h"
int main(void) {
    volatile uint32_t local[200];
    for (uint32_t i = 0; i < 200u; i++) { local[199u - i] = i; }
    return (int)(local[0] - 199u) + (board_stack_used() < 800u ? 5 : 0);
}
"""
    images = build(main, "stm32f411re")
    assert simulate(images).exit_code == 0
    target = load_target("stm32f411re")
    (tmp_path / "sim.ld").write_text(board_files(target, stack_bytes=768)["sim.ld"])
    images = build_firmware(tmp_path, target, "tiny")
    assert read_sizes(images.sim_elf).stack_reserve_bytes == 768
    with pytest.raises(SimulationFailed, match="overran its stack"):
        simulate(images)


def test_chip_image_is_refused_by_the_simulator(build: Builder) -> None:
    images = build(ECHO, "stm32f411re")
    with pytest.raises(ThimbleError, match=r"tiny.elf starts at 0x0800.*sim.ld"):
        qemu.run(images.chip_elf, load_target("stm32f411re"), images.sim_elf.parent)


def test_ram_fits_to_the_byte(build: Builder) -> None:
    """RAM less the stack holds exactly what it should; one word more does not link, with the right numbers."""
    full = load_target("stm32f411re").ram_bytes - DEFAULT_STACK_BYTES
    main = "static volatile unsigned char arena[{0}];\nint main(void) {{ return arena[5] + arena[{0} - 1]; }}"
    images = build(main.format(full), "stm32f411re")
    assert simulate(images).exit_code == 0
    assert read_sizes(images.chip_elf).ram_static_bytes == full
    with pytest.raises(DoesNotFit, match=r"stm32f411re: it needs 131076 bytes of RAM, 4 more") as caught:
        build(main.format(full + 1), "stm32f411re")
    assert (caught.value.need_bytes, caught.value.have_bytes) == (131076, 131072)


def test_flash_overflow(build: Builder) -> None:
    weights = "static const unsigned char weights[600000] = {1};\nstatic volatile unsigned place = 9;\n"
    main = weights + "int main(void) { return weights[place]; }"
    with pytest.raises(DoesNotFit, match=r"bytes of FLASH, \d+ more than its 524288") as caught:
        build(main, "stm32f411re")
    assert 600_000 < caught.value.need_bytes < 604_000
    assert caught.value.have_bytes == 524288


def test_both_memories_overflow() -> None:
    error = build_error(
        "ld: region `FLASH' overflowed by 5 bytes\nld: region `RAM' overflowed by 1 byte\n", load_target("nrf52840")
    )
    assert isinstance(error, DoesNotFit)
    assert (error.need_bytes, error.have_bytes) == (262145, 262144)
    assert "262145 bytes of RAM" in str(error)
    assert "1048581 bytes of FLASH" in str(error)


def test_compile_error_shows_the_compilers_words(build: Builder) -> None:
    with pytest.raises(ThimbleError, match=r"does not build:\n  main.c:1:\d+: error: .*conversion") as caught:
        build("int main(void) { unsigned char c = 300 + __LINE__ * 1000; return c; }", "stm32f411re")
    assert len(str(caught.value).splitlines()) <= 6


def test_link_scripts() -> None:
    files = board_files(load_target("stm32l4r5zi"))
    memory = re.compile(r"(FLASH|RAM) +\((\w+)\) +: ORIGIN = (0x[0-9A-F]{8}), LENGTH = (\d+)")
    assert memory.findall(files["chip.ld"]) == [
        ("FLASH", "rx", "0x08000000", "2097152"),
        ("RAM", "rwx", "0x20000000", "655360"),
    ]
    assert memory.findall(files["sim.ld"]) == [
        ("FLASH", "rx", "0x00000000", "2097152"),
        ("RAM", "rwx", "0x20000000", "655360"),
    ]


@pytest.mark.parametrize("name", list_targets())
def test_board_files_are_complete_and_deterministic(name: str) -> None:
    target = load_target(name)
    files = board_files(target)
    assert set(files) == {
        *("board.h", "chip.ld", "host_call.h", "semihosting.c", "semihosting.h", "sim.ld"),
        *("start_memory.h", "startup.c"),
        *(["boot_stage.c"] if target.boot_stage else []),
    }
    assert files == board_files(target)
    for text in files.values():
        assert text.startswith("/* SPDX-License-Identifier: 0BSD */\n")
        assert text.endswith("\n")
        assert "{{" not in text
        assert "/home/" not in text
    if target.board == "arm_cortex_m":
        assert files["board.h"].count("handler,") == target.interrupts - 1


@pytest.mark.parametrize("stack_bytes", [0, 252, 1001])
def test_impossible_stack_is_refused(stack_bytes: int) -> None:
    with pytest.raises(ThimbleError, match="multiple of 8"):
        board_files(load_target("nrf52840"), stack_bytes)
