"""What simulated firmware tells, whatever the simulator: its console, and which function holds an address."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from thimble.compiler.ir.errors import ThimbleError
from thimble.targets.elf import Symbol, function_at, read_entry
from thimble.targets.model import Target

# The firmware's console is cut to this many characters: one that prints in a loop must not fill the memory here.
MAX_CONSOLE_CHARACTERS = 1_000_000

_REPORT = re.compile(r"^thimble: (fault|stack-overrun) (.*)$", re.MULTILINE)
_PAIR = re.compile(r"(\w+)=(0x[0-9a-fA-F]+|-?\d+)\b")


@dataclass(frozen=True, slots=True)
class FaultReport:
    """The line that the start-up code's fault handler prints: registers by name."""

    kind: Literal["fault", "stack-overrun"]
    values: Mapping[str, int]


def check_address(elf: Path, target: Target) -> None:
    """Refuse an ELF that starts outside the simulator's flash, where it would run from empty memory (ThimbleError)."""
    simulator, entry = target.simulator, read_entry(elf)
    if not simulator.flash_origin <= entry < simulator.flash_origin + simulator.flash_bytes:
        raise ThimbleError(
            f"{elf.name} starts at 0x{entry:08x}, outside the flash of the simulated {simulator.machine}: "
            "give the ELF that is linked with sim.ld."
        )


def read_console(path: Path) -> str:
    """What the firmware printed; empty where it printed nothing."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        return file.read(MAX_CONSOLE_CHARACTERS).decode(errors="replace")
    return ""


def parse_stats(console: str) -> dict[str, int]:
    """All `key=integer` pairs of the lines that start with `thimble:`; the last of a key counts."""
    stats: dict[str, int] = {}
    for line in console.splitlines():
        if line.startswith("thimble:"):
            stats.update(_pairs(line))
    return stats


def find_fault(console: str) -> FaultReport | None:
    """The first report of a fault handler on the console."""
    match = _REPORT.search(console)
    if match is None:
        return None
    return FaultReport("fault" if match.group(1) == "fault" else "stack-overrun", _pairs(match.group(2)))


def _pairs(text: str) -> dict[str, int]:
    return {key: int(value, 0) for key, value in _PAIR.findall(text)}


def place(symbols: tuple[Symbol, ...], address: int) -> str:
    """An address as messages name it, with the function that holds it."""
    return f"{function_at(symbols, address) or 'no known function'} at 0x{address & ~1:08x}"
