"""What a timed run is asked for, as values, and its form as the plugin's configuration file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from thimble.compiler.ir.errors import ThimbleError
from thimble.targets.elf import Symbol
from thimble.targets.sim.arm_timing.tables import CoreTable

# Limits of the plugin, plugin/memory.h.
MAX_REGIONS = 16
MAX_CACHES = 4
MAX_LINES = 4096


@dataclass(frozen=True, slots=True)
class Cache:
    """A cache or a set of line buffers, least recently used line replaced.

    A miss fills one sector of `sector_bytes`; `ways` equal to `lines` makes it fully associative.
    """

    line_bytes: int
    sector_bytes: int
    lines: int
    ways: int


@dataclass(frozen=True, slots=True)
class Region:
    """A memory at its simulated address.

    `fetch_wait` and `data_wait` are the wait states (cycles beyond one) of an instruction fetch and of a load that
    find no cached copy; the caches are indices into MemoryModel.caches. With `prefetch` the memory reads the next
    sector ahead of the core. `flash`: reads contend for one array. `lookup_cycles` come before a read that missed,
    `grant_cycles` before a load that no other access comes right before.
    """

    name: str
    base: int
    size: int
    fetch_wait: int = 0
    data_wait: int = 0
    fetch_cache: int | None = None
    data_cache: int | None = None
    prefetch: bool = False
    flash: bool = False
    lookup_cycles: int = 0
    grant_cycles: int = 0


@dataclass(frozen=True, slots=True)
class MemoryModel:
    """The memories of a chip as the simulated machine shows them."""

    regions: tuple[Region, ...]
    caches: tuple[Cache, ...] = ()


@dataclass(frozen=True, slots=True)
class TraceRange:
    """Trace the instructions of [low, high) into `path`, `limit` lines at most: cycle, address, class."""

    low: int
    high: int
    path: Path
    limit: int = 1_000_000


@dataclass(frozen=True, slots=True)
class TimingRequest:
    """All that the plugin needs to time a run.

    `memory` None turns memory off: every access takes no wait, and none is counted (about twice as fast).
    `stack` is [low, high): the lowest store in it gives the peak.
    """

    core: CoreTable
    memory: MemoryModel | None
    functions: tuple[Symbol, ...] = ()
    stack: tuple[int, int] = (0, 0)
    trace: TraceRange | None = None

    def config_text(self) -> str:
        """The plugin's configuration file; ThimbleError where it exceeds what the plugin can hold."""
        lines = self.core.statements()
        lines.append(f"memory {int(self.memory is not None)}")
        if self.memory is not None:
            lines += _memory_statements(self.memory)
        for symbol in self.functions:
            if symbol.kind == "function":
                lines.append(f"function {symbol.address:x} {symbol.bytes:x} {_word(symbol.name)}")
        lines.append(f"stack {self.stack[0]:x} {self.stack[1]:x}")
        if self.trace is not None:
            lines.append(f"trace {self.trace.low:x} {self.trace.high:x} {self.trace.limit}")
            lines.append(f"trace_file {self.trace.path}")
        return "\n".join(lines) + "\n"


def _word(name: str) -> str:
    """A symbol as one word of at most 255 characters without what JSON would have to escape."""
    return "".join(c if c.isprintable() and c not in ' "\\' else "_" for c in name)[:255] or "_"


def _memory_statements(memory: MemoryModel) -> list[str]:
    if len(memory.regions) > MAX_REGIONS or len(memory.caches) > MAX_CACHES:
        raise ThimbleError(f"The timing plugin holds {MAX_REGIONS} regions and {MAX_CACHES} caches, no more.")
    lines = []
    for cache in memory.caches:
        if not 0 < cache.lines <= MAX_LINES or cache.lines % cache.ways or cache.line_bytes % cache.sector_bytes:
            raise ThimbleError(f"A cache of this shape cannot be timed: {cache}.")
        lines.append(f"cache {cache.line_bytes} {cache.sector_bytes} {cache.lines} {cache.ways}")
    for region in memory.regions:
        caches = [-1 if index is None else index for index in (region.fetch_cache, region.data_cache)]
        lines.append(
            f"region {_word(region.name)[:31]} {region.base:x} {region.size:x} {region.fetch_wait} "
            f"{region.data_wait} {caches[0]} {caches[1]} {int(region.prefetch)} {int(region.flash)} "
            f"{region.lookup_cycles} {region.grant_cycles}"
        )
    return lines
