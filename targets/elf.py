"""What a linked firmware holds: sizes by kind of memory, and its symbols."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import Section, SymbolTableSection

from thimble.compiler.ir.errors import UsageError

SymbolKind = Literal["function", "object", "other"]

STACK_SECTION = ".stack"
FAST_SECTION = ".fast_weights"
"""Constants that start-up code copies to RAM: no code writes them, so that their section is marked read-only."""
CODE_SECTION = ".fast_code"
"""Code that start-up code copies to RAM."""
_KIND_OF_TYPE: dict[str, SymbolKind] = {"STT_FUNC": "function", "STT_OBJECT": "object"}


@dataclass(frozen=True, slots=True)
class Symbol:
    """A named piece of the image; a function's address is that of its first instruction, without the Thumb bit."""

    name: str
    section: str
    address: int
    bytes: int
    kind: SymbolKind


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of bytes that a loader copies: its load address, and where in the file it lies."""

    address: int
    offset: int
    bytes: int


@dataclass(frozen=True, slots=True)
class ElfSizes:
    """Sizes of an image, in bytes.

    `rodata_bytes` holds all other constant sections too, such as the vector table. `flash_total_bytes` is what
    the chip's flash holds: code, constants, the load image of .data, and the gaps between them.
    `ram_static_bytes` is .data and .bss, with copied constants and code and all blocks of the arena; the reserve for
    the stack is in `stack_reserve_bytes` only. `fast_weights_bytes` and `fast_code_bytes` are what start-up code
    copies.
    """

    text_bytes: int
    rodata_bytes: int
    data_bytes: int
    bss_bytes: int
    stack_reserve_bytes: int
    flash_total_bytes: int
    ram_static_bytes: int
    fast_weights_bytes: int
    fast_code_bytes: int
    symbols: tuple[Symbol, ...]


def read_sizes(elf: Path) -> ElfSizes:
    """Read an ELF's sizes and symbols (by address, then name). Raises UsageError where it is no ELF file."""
    with _opened(elf) as file:
        totals = {"text": 0, "rodata": 0, "data": 0, "bss": 0, "stack": 0}
        copied = {FAST_SECTION: 0, CODE_SECTION: 0}
        for section in _allocated(file):
            totals[_section_kind(section)] += section["sh_size"]
            if section.name in copied:
                copied[section.name] += section["sh_size"]
        return ElfSizes(
            text_bytes=totals["text"],
            rodata_bytes=totals["rodata"],
            data_bytes=totals["data"],
            bss_bytes=totals["bss"],
            stack_reserve_bytes=totals["stack"],
            flash_total_bytes=_flash_bytes(file),
            ram_static_bytes=totals["data"] + totals["bss"] + copied[CODE_SECTION],
            fast_weights_bytes=copied[FAST_SECTION],
            fast_code_bytes=copied[CODE_SECTION],
            symbols=_symbols(file),
        )


def read_segments(elf: Path) -> tuple[Segment, ...]:
    """What a loader puts into memory, in the order of the file."""
    with _opened(elf) as file:
        return tuple(
            Segment(int(segment["p_paddr"]), int(segment["p_offset"]), int(segment["p_filesz"]))
            for segment in file.iter_segments("PT_LOAD")
            if segment["p_filesz"] > 0
        )


def read_entry(elf: Path) -> int:
    """Address of the first instruction, without the Thumb bit."""
    with _opened(elf) as file:
        return int(file["e_entry"]) & ~1


def read_end(elf: Path, low: int, high: int) -> int:
    """First address behind the last section that the image has in [low, high); `low` where it has none."""
    with _opened(elf) as file:
        ends = [int(s["sh_addr"] + s["sh_size"]) for s in _allocated(file) if low <= s["sh_addr"] < high]
        return max(ends, default=low)


def read_code(elf: Path, address: int, count: int) -> bytes:
    """Up to `count` bytes of the image's code that start at `address`; empty where none lies there."""
    with _opened(elf) as file:
        for section in _allocated(file):
            start = int(section["sh_addr"])
            if _section_kind(section) == "text" and start <= address < start + int(section["sh_size"]):
                return bytes(section.data()[address - start : address - start + count])
    return b""


def function_at(symbols: tuple[Symbol, ...], address: int) -> str | None:
    """Name of the function that holds `address` (the Thumb bit does not matter); None outside of all."""
    place = address & ~1
    for symbol in symbols:
        if symbol.kind == "function" and symbol.address <= place < symbol.address + symbol.bytes:
            return symbol.name
    return None


@contextmanager
def _opened(elf: Path) -> Iterator[ELFFile]:
    try:
        with elf.open("rb") as stream:
            yield ELFFile(stream)
    except OSError as error:
        raise UsageError(f"Cannot read {elf}: {error.strerror}.") from error
    except ELFError as error:
        raise UsageError(f"{elf} is not an ELF file: {error}.") from error


def _allocated(file: ELFFile) -> list[Section]:
    return [section for section in file.iter_sections() if section["sh_flags"] & SH_FLAGS.SHF_ALLOC]


def _section_kind(section: Section) -> str:
    if section.name == STACK_SECTION:
        return "stack"
    if section["sh_type"] == "SHT_NOBITS":
        return "bss"
    if section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR:
        return "text"
    is_data = section["sh_flags"] & SH_FLAGS.SHF_WRITE or section.name == FAST_SECTION
    return "data" if is_data else "rodata"


def _flash_bytes(file: ELFFile) -> int:
    """From the lowest to the highest load address that the file has bytes for."""
    spans = [
        (int(segment["p_paddr"]), int(segment["p_paddr"]) + int(segment["p_filesz"]))
        for segment in file.iter_segments("PT_LOAD")
        if segment["p_filesz"] > 0
    ]
    return max(end for _, end in spans) - min(start for start, _ in spans) if spans else 0


def _symbols(file: ELFFile) -> tuple[Symbol, ...]:
    table = file.get_section_by_name(".symtab")
    if not isinstance(table, SymbolTableSection):
        return ()
    found = []
    for entry in table.iter_symbols():
        index = entry["st_shndx"]
        if not entry.name or not isinstance(index, int) or entry.name.startswith("$"):
            continue  # undefined, absolute, or a mapping symbol ($t, $d) that only marks code and data
        kind = _KIND_OF_TYPE.get(entry["st_info"]["type"], "other")
        address = int(entry["st_value"]) & (~1 if kind == "function" else ~0)
        section = file.get_section(index)
        if section["sh_flags"] & SH_FLAGS.SHF_ALLOC:
            found.append(Symbol(entry.name, section.name, address, int(entry["st_size"]), kind))
    return tuple(sorted(found, key=lambda s: (s.address, s.name)))
