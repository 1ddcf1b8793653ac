"""From a target's data to what the plugin models: regions at simulated addresses, caches, the stack's place."""

from __future__ import annotations

import struct
from pathlib import Path

from elftools.elf.elffile import ELFFile

from thimble.targets.model import FlashCache, Memory, Target
from thimble.targets.sim.arm_timing.request import Cache, MemoryModel, Region


def memory_model(target: Target) -> MemoryModel:
    """Regions and caches of `target`, each memory where the simulated machine has it."""
    caches: tuple[Cache, ...] = ()
    if target.flash_cache is not None:
        caches = _flash_caches(target.flash_cache)
    return MemoryModel(tuple(_region(target, memory, caches) for memory in target.memories), caches)


def _flash_caches(cache: FlashCache) -> tuple[Cache, ...]:
    """Instruction and data lines; fewer bytes a read than a line has make sectors."""
    sector = min(cache.read_bytes, cache.line_bytes)
    return tuple(
        Cache(cache.line_bytes, sector, lines, lines)
        for lines in (cache.instruction_lines, cache.data_lines)
        if lines > 0
    )


def _region(target: Target, memory: Memory, caches: tuple[Cache, ...]) -> Region:
    is_flash = memory.kind == "flash"
    cached = is_flash and bool(caches)
    has_data_lines = target.flash_cache is not None and target.flash_cache.data_lines > 0
    return Region(
        name=memory.name,
        base=simulated_address(target, memory),
        size=memory.bytes,
        fetch_wait=memory.wait_states,
        data_wait=memory.wait_states,
        fetch_cache=0 if cached else None,
        data_cache=1 if cached and has_data_lines else None,
        flash=is_flash,
    )


def simulated_address(target: Target, memory: Memory) -> int:
    """Where the simulated machine has `memory`: the main flash and RAM are moved, others stay."""
    simulator = target.simulator
    for main, origin in ((target.flash, simulator.flash_origin), (target.ram, simulator.ram_origin)):
        if memory.kind == main.kind and main.origin <= memory.origin < main.end:
            return origin + memory.origin - main.origin
    return memory.origin


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
