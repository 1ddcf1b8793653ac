"""From a target's data to what the plugin models: regions at simulated addresses, caches, the stack's place."""

from __future__ import annotations

import struct
from pathlib import Path

from elftools.elf.elffile import ELFFile

from thimble.targets.model import FlashCache, Memory, Target, simulated_address
from thimble.targets.sim.arm_timing.request import Cache, MemoryModel, Region


def memory_model(target: Target) -> MemoryModel:
    """Regions and caches of `target`, each memory where the simulated machine has it."""
    caches = () if target.flash_cache is None else _flash_caches(target.flash_cache)
    regions = [_region(target, memory, target.flash_cache) for memory in target.memories]
    moved = [region for region, memory in zip(regions, target.memories, strict=True) if region.base != memory.origin]
    # A memory whose place the simulated machine gives to a moved one cannot be reached there.
    others = [r for r in regions if r not in moved and not any(_overlap(r, m) for m in moved)]
    return MemoryModel(tuple(moved + others), caches)


def _overlap(a: Region, b: Region) -> bool:
    return a.base < b.base + b.size and b.base < a.base + a.size


def _flash_caches(cache: FlashCache) -> tuple[Cache, ...]:
    """Instruction and data lines; where a read gives less than a line, lines are filled sector by sector."""
    sector = min(cache.read_bytes, cache.line_bytes)
    shapes = ((cache.instruction_lines, cache.instruction_ways), (cache.data_lines, cache.data_ways))
    return tuple(Cache(cache.line_bytes, sector, lines, ways or lines) for lines, ways in shapes if lines > 0)


def _region(target: Target, memory: Memory, cache: FlashCache | None) -> Region:
    is_flash = memory.kind == "flash"
    fetch_cache = data_cache = None
    if cache is not None and (is_flash or memory.cached):
        fetch_cache = 0
        data_cache = 1 if cache.data_lines > 0 else 0 if cache.unified else None
    return Region(
        name=memory.name,
        base=simulated_address(target, memory),
        size=memory.bytes,
        fetch_wait=memory.wait_states,
        data_wait=memory.load_wait_states,
        fetch_cache=fetch_cache,
        data_cache=data_cache,
        prefetch=is_flash and cache is not None and cache.prefetch,
        flash=is_flash,
        grant_cycles=memory.grant_cycles,
        lookup_cycles=cache.lookup_cycles if cache is not None and is_flash else 0,
    )


def stack_range(elf: Path) -> tuple[int, int]:
    """[low, high) of the stack: from the initial stack pointer in the vector table down to the nearest section.

    (0, 0) where the image does not begin with a vector table.
    """
    with elf.open("rb") as stream:
        file = ELFFile(stream)
        sections = [s for s in file.iter_sections() if s["sh_flags"] & 2 and s["sh_size"]]
        loaded = [s for s in sections if s["sh_type"] == "SHT_PROGBITS"]
        if not loaded:
            return 0, 0
        table = min(loaded, key=lambda s: int(s["sh_addr"])).data()
        if len(table) < 4:
            return 0, 0
        (top,) = struct.unpack_from("<I", table)
        low = 0
        for section in sections:
            start, end = int(section["sh_addr"]), int(section["sh_addr"] + section["sh_size"])
            if start < top <= end:
                low = max(low, start)
            elif end <= top:
                low = max(low, end)
        return (low, top) if 0 < low < top else (0, 0)
