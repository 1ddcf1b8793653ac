"""The RP2040's second boot stage: its checksum, its place in the image, and what it does when it runs."""

from __future__ import annotations

import binascii
import subprocess
from pathlib import Path

from elftools.elf.elffile import ELFFile

from thimble.targets.build import board_files, make_flags
from thimble.targets.model import load_target
from thimble.targets.sim import qemu

# The stage with its four addresses moved into the simulator's RAM, where main looks at what it wrote.
SSI, VTOR, VECTORS = 0x2001_0000, 0x2001_2000, 0x2001_1000
MOVED = {"0x18000000": hex(SSI), "0x180000F4": hex(SSI + 0xF4), "0x10000100": hex(VECTORS), "0xE000ED08": hex(VTOR)}

MAIN = f"""
#include "board.h"
#include "semihosting.h"
#define WORD(address) (*(volatile uint32_t *)(address))
#define SSI {SSI:#x}u
#define VECTORS {VECTORS:#x}u
#define VTOR {VTOR:#x}u
#define COPY 0x20041F00u /* where the ROM puts it */
void boot_stage(void);

static void spoil(void) {{
    for (uint32_t offset = 0; offset <= 0xF4u; offset += 4u) {{ WORD(SSI + offset) = 0xFFFFFFFFu; }}
    WORD(VTOR) = 0xFFFFFFFFu;
}}

static int reads_flash(void) {{
    return WORD(SSI + 0x00u) == (31u << 16 | 3u << 8) && WORD(SSI + 0x04u) == 0u && WORD(SSI + 0x08u) == 1u &&
           WORD(SSI + 0x14u) == 4u && WORD(SSI + 0xF4u) == (0x03u << 24 | 2u << 8 | 6u << 2) &&
           WORD(SSI + 0x10u) == 0xFFFFFFFFu;
}}

static void firmware(void) {{
    uint32_t stack_pointer;
    __asm__ volatile("mrs %0, msp" : "=r"(stack_pointer));
    const int started = reads_flash() && WORD(VTOR) == VECTORS && stack_pointer <= 0x20018000u &&
                        stack_pointer > 0x20017F00u;
    semihosting_exit(started ? 0 : 3);
}}

int main(void) {{
    const uint32_t stage = (uint32_t)(uintptr_t)boot_stage & ~1u;
    for (uint32_t offset = 0; offset < 256u; offset += 4u) {{ WORD(COPY + offset) = WORD(stage + offset); }}
    WORD(VECTORS) = 0x20018000u;
    WORD(VECTORS + 4u) = (uint32_t)(uintptr_t)firmware;
    spoil();
    ((void (*)(void))(uintptr_t)(COPY | 1u))(); // as code that wrote the flash calls it
    if (!reads_flash() || WORD(VTOR) != 0xFFFFFFFFu) {{ return 2; }}
    spoil();
    register uint32_t entry __asm__("r3") = COPY | 1u;
    __asm__ volatile("movs r0, #0\\n\\tmov lr, r0\\n\\tbx %0" ::"l"(entry) : "r0", "memory"); // as the ROM does
    return 1;
}}
"""


def link(folder: Path, target_name: str, files: dict[str, str], script: str, elf: str) -> Path:
    flags = make_flags(load_target(target_name))
    for name, text in files.items():
        (folder / name).write_text(text)
    sources = [name for name in files if name.endswith(".c")]
    link_flags = flags.ldflags_chip if script == "chip.ld" else flags.ldflags_sim
    command = [flags.cc, *flags.cflags, *sources, *link_flags, "-o", elf]
    subprocess.run(command, cwd=folder, check=True)
    return folder / elf


def reversed_bits(value: int, bits: int) -> int:
    return int(f"{value:0{bits}b}"[::-1], 2)


def crc32_not_reflected(data: bytes) -> int:
    """CRC-32 of polynomial 0x04C11DB7 from all ones, neither reflected nor inverted, by Python's, which is both."""
    mirrored = bytes(reversed_bits(byte, 8) for byte in data)
    return reversed_bits(binascii.crc32(mirrored) ^ 0xFFFF_FFFF, 32)


def test_checksum_is_the_one_of_the_datasheet() -> None:
    """The check value of this CRC (CRC-32/MPEG-2) in the catalogues."""
    assert crc32_not_reflected(b"123456789") == 0x0376E6E7


def test_stage_is_first_in_flash_with_its_checksum(tmp_path: Path) -> None:
    target = load_target("rp2040")
    files = board_files(target) | {"main.c": "int main(void);\nint main(void) { return 0; }\n"}
    elf = link(tmp_path, "rp2040", files, "chip.ld", "tiny.elf")
    with elf.open("rb") as stream:
        file = ELFFile(stream)
        boot, vectors = file.get_section_by_name(".boot"), file.get_section_by_name(".vectors")
        assert (boot["sh_addr"], boot["sh_size"]) == (target.flash.origin, 256)
        assert vectors["sh_addr"] == target.flash.origin + 256
        stage = boot.data()
    assert crc32_not_reflected(stage[:252]) == int.from_bytes(stage[252:], "little")
    # It must not depend on where it lies: no relocation is left, and all that it reads is in its 256 bytes.
    assert int.from_bytes(stage[:2], "little") >> 11 == 0b01001  # LDR literal


def test_stage_is_not_in_the_simulators_image(tmp_path: Path) -> None:
    files = board_files(load_target("rp2040")) | {"main.c": "int main(void);\nint main(void) { return 0; }\n"}
    with link(tmp_path, "rp2040", files, "sim.ld", "tiny.elf").open("rb") as stream:
        assert ELFFile(stream).get_section_by_name(".boot") is None


def test_stage_sets_up_the_flash_and_starts_the_firmware(tmp_path: Path) -> None:
    """Its very instructions, with other addresses, on a simulated core: registers, stack, vector table, return."""
    target = load_target("stm32g0b1re")
    stage = board_files(load_target("rp2040"))["boot_stage.c"]
    for real, moved in MOVED.items():
        assert stage.count(f".word {real}") == 1
        stage = stage.replace(f".word {real}", f".word {moved}")
    stage = stage.replace('"boot_stage:', '".global boot_stage\\n"\n        "boot_stage:')
    files = board_files(target) | {"main.c": MAIN, "boot_stage.c": stage}
    elf = link(tmp_path, "stm32g0b1re", files, "sim.ld", "stage.elf")
    assert qemu.run(elf, target, tmp_path, 60).exit_code == 0
