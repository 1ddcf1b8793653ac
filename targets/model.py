"""Targets as data: a chip's TOML file, on top of its core's, becomes a `Target`."""

from __future__ import annotations

import difflib
import itertools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from thimble.compiler.ir.errors import ThimbleError, UsageError
from thimble.targets.sim.trace import Timing

CHIPS_DIR = Path(__file__).parent / "chips"
CORES_DIR = Path(__file__).parent / "cores"
BOARDS_DIR = Path(__file__).parent / "boards"

MemoryKind = Literal["flash", "ram"]


@dataclass(frozen=True, slots=True)
class Memory:
    """One memory of a chip at its real address; `wait_states` at the target's clock.

    `data_wait_states`, where it is given, is what a load waits instead. A load that no other access comes right before
    waits `grant_cycles` more, until the bus matrix has connected the memory. `cached` RAM is read through the data
    lines of the flash cache, which then is a cache of the core itself; flash always is. In `arena` RAM, which is on
    after reset, blocks of an arena may lie besides the RAM that firmware is linked to. `code_origin` is where the core
    fetches instructions from the same bytes without a wait and without taking turns with its data; None where it
    cannot, or where nobody knows.
    """

    name: str
    kind: MemoryKind
    origin: int
    bytes: int
    wait_states: int
    data_wait_states: int | None = None
    grant_cycles: int = 0
    cached: bool = False
    arena: bool = False
    code_origin: int | None = None

    @property
    def load_wait_states(self) -> int:
        """What a load waits."""
        return self.wait_states if self.data_wait_states is None else self.data_wait_states

    @property
    def end(self) -> int:
        """First address behind the memory."""
        return self.origin + self.bytes


@dataclass(frozen=True, slots=True)
class FlashCache:
    """What stands between the core and its flash: bytes a flash read gives, and the lines kept of them.

    The lines are found by their whole address unless `instruction_ways` or `data_ways` make sets of them. A
    `unified` cache keeps data in the instruction lines. With `prefetch` the flash reads ahead of the core. A miss
    costs `lookup_cycles` beyond the flash's wait states.
    """

    read_bytes: int
    line_bytes: int
    instruction_lines: int
    data_lines: int
    instruction_ways: int = 0
    data_ways: int = 0
    unified: bool = False
    prefetch: bool = False
    lookup_cycles: int = 0


@dataclass(frozen=True, slots=True)
class BootStage:
    """Code at the very start of flash that the chip's ROM runs before the firmware: a folder of boards/, its size."""

    folder: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Simulator:
    """The simulated machine that stands for the chip, with the addresses and sizes of its own memories."""

    program: str
    machine: str
    flash_origin: int
    flash_bytes: int
    ram_origin: int
    ram_bytes: int
    chip_machine: str = ""  # a smaller machine with memories at the chip's own addresses, where QEMU has one
    chip_machine_flash_bytes: int = 0
    chip_machine_ram_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    """A chip that firmware is built for.

    `board` names the start-up family, a folder of boards/; `boot_stage` is part of the flash. `interrupts` is the
    number of device interrupts in the vector table. `cflags` choose the core, `ldflags` the C library. `timing`
    says what cycle counts of this target are worth (see Trace); `reference` cites the manuals that the data comes
    from.
    """

    name: str
    title: str
    core: str
    isa: str
    clock_hz: int
    interrupts: int
    memories: tuple[Memory, ...]
    flash_cache: FlashCache | None
    boot_stage: BootStage | None
    board: str
    compiler_prefix: str
    cflags: tuple[str, ...]
    ldflags: tuple[str, ...]
    simulator: Simulator
    timing: Timing
    timing_error_percent: float | None
    reference: tuple[str, ...]

    @property
    def flash(self) -> Memory:
        """The flash that firmware is linked to: the largest run of flash memories without a gap."""
        return main_region(self.memories, "flash")

    @property
    def ram(self) -> Memory:
        """The RAM that firmware is linked to: the largest run of RAMs without a gap."""
        return main_region(self.memories, "ram")

    @property
    def arena_memories(self) -> tuple[Memory, ...]:
        """Where blocks of an arena may lie: the RAM that firmware is linked to, then others."""
        return (self.ram, *(memory for memory in self.memories if memory.arena))

    @property
    def fast_ram(self) -> Memory:
        """The fastest of these, where constants are copied to; of equals the first."""
        return min(self.arena_memories, key=lambda memory: memory.load_wait_states)

    @property
    def code_ram(self) -> Memory | None:
        """The RAM that code is copied to, the largest of several; None where the chip has none that is fetched from
        without a wait."""
        return max((m for m in self.memories if m.code_origin is not None), key=lambda m: m.bytes, default=None)

    @property
    def code_lies_in_ram(self) -> bool:
        """Whether the bytes that code is copied to are some of the RAM that firmware is linked to."""
        return self.code_ram is not None and self.ram.origin <= self.code_ram.origin < self.ram.end

    @property
    def flash_bytes(self) -> int:
        """Bytes of flash that firmware can use."""
        return self.flash.bytes

    @property
    def ram_bytes(self) -> int:
        """Bytes of RAM that firmware can use."""
        return self.ram.bytes


def simulated_address(target: Target, memory: Memory) -> int:
    """Where the simulated machine has a memory: the main flash and RAM are moved there, RAM of arenas behind the
    latter, RAM of code behind that.

    All others stay, and arena RAM too where the machine has the main RAM at its own address.
    """
    simulator = target.simulator
    for main, origin in ((target.flash, simulator.flash_origin), (target.ram, simulator.ram_origin)):
        if memory.kind == main.kind and main.origin <= memory.origin < main.end:
            return origin + memory.origin - main.origin
    others = _moved_ram(target)
    if memory in others:
        return simulator.ram_origin + target.ram_bytes + sum(m.bytes for m in others[: others.index(memory)])
    return memory.origin


def _moved_ram(target: Target) -> tuple[Memory, ...]:
    """RAM besides the main one that the simulated machine has behind it: of arenas, then of code."""
    arenas = target.arena_memories[1:] if target.simulator.ram_origin != target.ram.origin else ()
    code = target.code_ram
    return (*arenas, code) if code is not None and not target.code_lies_in_ram and code not in arenas else arenas


def main_region(memories: tuple[Memory, ...], kind: MemoryKind) -> Memory:
    """Join neighbouring memories of one kind and return the largest, with the worst of its wait states."""
    runs: list[Memory] = []
    for memory in sorted((m for m in memories if m.kind == kind), key=lambda m: m.origin):
        if runs and runs[-1].end == memory.origin:
            last = runs.pop()
            name, waits = f"{last.name}+{memory.name}", max(last.wait_states, memory.wait_states)
            runs.append(Memory(name, kind, last.origin, last.bytes + memory.bytes, waits))
        else:
            runs.append(memory)
    return max(runs, key=lambda m: m.bytes)


def list_targets() -> tuple[str, ...]:
    """Names of all targets, sorted."""
    return tuple(sorted(path.stem for path in CHIPS_DIR.glob("*.toml")))


def load_target(name: str) -> Target:
    """Read the target `name` (case does not matter).

    Raises UsageError for an unknown name, with the near ones; ThimbleError where the target's data is wrong.
    """
    names = list_targets()
    key = name.lower()
    if key not in names:
        near = difflib.get_close_matches(key, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}."
        raise UsageError(f"Unknown target '{name}': {hint} `thimble targets` lists all.")
    chip = _read(CHIPS_DIR / f"{key}.toml")
    return parse_target(key, chip, _read(CORES_DIR / f"{chip['core']}.toml"))


def parse_target(name: str, chip: Mapping[str, Any], core: Mapping[str, Any]) -> Target:
    """Build a Target from a chip's data laid over its core's; tables are merged key by key.

    Raises ThimbleError that names the target for a missing or unknown key, or memories that make no sense.
    """
    data: dict[str, Any] = dict(core)
    for key, value in chip.items():
        data[key] = {**data[key], **value} if isinstance(value, dict) and key in data else value
    cache = data.pop("flash_cache", None)
    boot_stage = data.pop("boot_stage", None)
    try:
        target = Target(
            name=name,
            memories=tuple(Memory(**memory) for memory in data.pop("memory")),
            flash_cache=FlashCache(**cache) if cache else None,
            boot_stage=BootStage(**boot_stage) if boot_stage else None,
            cflags=tuple(data.pop("cflags")),
            ldflags=tuple(data.pop("ldflags")),
            simulator=Simulator(**data.pop("simulator")),
            timing_error_percent=data.pop("timing_error_percent", None),
            reference=tuple(data.pop("reference")),
            **data,
        )
    except (KeyError, TypeError) as error:
        raise ThimbleError(f"Target {name}: bad or incomplete data: {error}.") from error
    _check(target)
    return target


def _check(target: Target) -> None:
    """Refuse data that could only give wrong firmware: overlapping memories, or a simulator too small."""
    for kind in ("flash", "ram"):
        if not any(memory.kind == kind and memory.bytes > 0 for memory in target.memories):
            raise ThimbleError(f"Target {target.name}: it has no {kind}.")
    if any(m.arena and (m.kind != "ram" or target.ram.origin <= m.origin < target.ram.end) for m in target.memories):
        raise ThimbleError(f"Target {target.name}: only RAM that firmware is not linked to can be marked as arena.")
    for memory in target.arena_memories[1:]:
        if not memory.name.isidentifier() or memory.name != memory.name.lower():
            raise ThimbleError(f"Target {target.name}: arena memory {memory.name} needs a name that C can use.")
    ordered = sorted(target.memories, key=lambda m: m.origin)
    for first, second in itertools.pairwise(ordered):
        if first.end > second.origin:
            raise ThimbleError(f"Target {target.name}: memories {first.name} and {second.name} overlap.")
    room = target.simulator
    moved = (target.ram, *_moved_ram(target))
    if target.flash_bytes > room.flash_bytes or sum(memory.bytes for memory in moved) > room.ram_bytes:
        raise ThimbleError(f"Target {target.name}: machine {room.machine} has less memory than the chip.")


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return tomllib.load(file)
