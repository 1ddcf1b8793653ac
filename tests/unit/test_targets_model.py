"""Targets are data: they load, agree with the manuals, and wrong data is refused."""

from __future__ import annotations

import itertools
import tomllib
from typing import Any

import pytest

from thimble.compiler.ir.errors import ThimbleError, UsageError
from thimble.targets.model import (
    CHIPS_DIR,
    CORES_DIR,
    Memory,
    list_targets,
    load_target,
    main_region,
    parse_target,
    simulated_address,
)

KB = 1024

# Clock, flash, RAM that firmware is linked to, interrupts, core: from the manuals that the chips' files cite.
CHIPS = {
    "stm32l4r5zi": (120_000_000, 0x0800_0000, 2048 * KB, 0x2000_0000, 640 * KB, 95, "cortex-m4"),
    "stm32f207zg": (120_000_000, 0x0800_0000, 1024 * KB, 0x2000_0000, 128 * KB, 81, "cortex-m3"),
    "stm32f411re": (100_000_000, 0x0800_0000, 512 * KB, 0x2000_0000, 128 * KB, 86, "cortex-m4"),
    "nrf52840": (64_000_000, 0x0000_0000, 1024 * KB, 0x2000_0000, 256 * KB, 48, "cortex-m4"),
    "stm32f746zg": (216_000_000, 0x0800_0000, 1024 * KB, 0x2000_0000, 320 * KB, 98, "cortex-m7"),
    "stm32h743zi": (480_000_000, 0x0800_0000, 2048 * KB, 0x2400_0000, 512 * KB, 150, "cortex-m7"),
    "stm32u575zi": (160_000_000, 0x0800_0000, 2048 * KB, 0x2000_0000, 768 * KB, 126, "cortex-m33"),
    "nrf5340": (128_000_000, 0x0000_0000, 1024 * KB, 0x2000_0000, 512 * KB, 69, "cortex-m33"),
    "stm32g0b1re": (64_000_000, 0x0800_0000, 512 * KB, 0x2000_0000, 144 * KB, 31, "cortex-m0plus"),
    "rp2040": (133_000_000, 0x1000_0000, 2048 * KB, 0x2000_0000, 264 * KB, 32, "cortex-m0plus"),
    "mps3-an547": (32_000_000, 0x1000_0000, 512 * KB, 0x3100_0000, 4096 * KB, 128, "cortex-m55"),
}

# All RAM of the chip, by the manuals: firmware is linked to its largest part.
TOTAL_RAM = {
    "stm32f746zg": (16 + 64 + 240 + 16 + 4) * KB,
    "stm32h743zi": (64 + 128 + 512 + 288 + 64 + 4) * KB,
    "stm32u575zi": 786 * KB,
    "mps3-an547": (2 + 0.5 + 4) * KB * KB,
}

CORE: dict[str, Any] = {
    "isa": "isa",
    "board": "arm_cortex_m",
    "compiler_prefix": "none-",
    "cflags": ["-a"],
    "ldflags": [],
    "simulator": {
        "program": "sim",
        "machine": "m",
        "flash_origin": 0,
        "flash_bytes": 1000,
        "ram_origin": 0,
        "ram_bytes": 1000,
    },
}


def chip(**changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = {
        "title": "Chip",
        "core": "core",
        "clock_hz": 1,
        "interrupts": 1,
        "timing": "estimate",
        "reference": ["manual"],
        "memory": [memory("flash", "flash", 0, 100), memory("a", "ram", 200, 10), memory("b", "ram", 210, 20)],
    }
    return {**data, **changes}


def memory(name: str, kind: str, origin: int, size: int) -> dict[str, Any]:
    return {"name": name, "kind": kind, "origin": origin, "bytes": size, "wait_states": 0}


def test_all_targets_are_the_documented_ones() -> None:
    arm = {name for name in list_targets() if load_target(name).board == "arm_cortex_m"}
    assert arm == set(CHIPS)


@pytest.mark.parametrize("name", CHIPS)
def test_chip_data(name: str) -> None:
    target = load_target(name)
    clock_hz, flash_origin, flash_bytes, ram_origin, ram_bytes, interrupts, core = CHIPS[name]
    assert (target.name, target.clock_hz, target.interrupts) == (name, clock_hz, interrupts)
    assert (target.flash.origin, target.flash_bytes) == (flash_origin, flash_bytes)
    assert (target.ram.origin, target.ram_bytes) == (ram_origin, ram_bytes)
    assert sum(m.bytes for m in target.memories if m.kind == "ram") == TOTAL_RAM.get(name, ram_bytes)
    assert target.compiler_prefix == "arm-none-eabi-"
    assert f"-mcpu={core}" in target.cflags
    assert (target.flash.wait_states > 0) == (name != "mps3-an547")
    assert target.reference


def test_name_ignores_case() -> None:
    assert load_target("STM32L4R5ZI").name == "stm32l4r5zi"


def test_unknown_target_names_the_near_ones() -> None:
    with pytest.raises(UsageError, match=r"stm32f401re.*did you mean stm32f411re"):
        load_target("stm32f401re")


@pytest.mark.parametrize("name", ["xyzzy", "", "../cores/cortex-m4f"])
def test_unlike_name_lists_all(name: str) -> None:
    with pytest.raises(UsageError, match=r"nrf52840, .*stm32f411re, .*stm32l4r5zi"):
        load_target(name)


def test_main_region_joins_neighbours_only() -> None:
    parts = (
        Memory("b", "ram", 110, 20, 1),
        Memory("a", "ram", 100, 10, 0),
        Memory("far", "ram", 500, 25, 0),
        Memory("flash", "flash", 130, 99, 5),
    )
    assert main_region(parts, "ram") == Memory("a+b", "ram", 100, 30, 1)


def test_chip_overrides_its_core() -> None:
    target = parse_target("t", chip(isa="other", simulator={"machine": "n"}), CORE)
    assert (target.isa, target.simulator.machine, target.simulator.ram_bytes) == ("other", "n", 1000)
    assert target.ram == Memory("a+b", "ram", 200, 30, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"memory": [memory("f", "flash", 0, 100), memory("r", "ram", 99, 10)]}, "f and r overlap"),
        ({"memory": [memory("f", "flash", 0, 100)]}, "no ram"),
        ({"memory": [memory("r", "ram", 0, 100)]}, "no flash"),
        ({"memory": [memory("f", "flash", 0, 100), memory("r", "ram", 200, 1001)]}, "less memory than the chip"),
        ({"colour": "blue"}, "colour"),
        ({"simulator": {"speed": 1}}, "speed"),
    ],
)
def test_wrong_data_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ThimbleError, match=message):
        parse_target("t", chip(**changes), CORE)


@pytest.mark.parametrize("key", ["title", "memory", "reference", "clock_hz"])
def test_missing_key_is_refused(key: str) -> None:
    data = chip()
    del data[key]
    with pytest.raises(ThimbleError, match=f"Target t: bad or incomplete data.*{key}"):
        parse_target("t", data, CORE)


@pytest.mark.parametrize("name", list_targets())
def test_arena_memories_have_a_place_of_their_own_in_the_simulator(name: str) -> None:
    target = load_target(name)
    assert target.arena_memories[0] == target.ram
    assert target.fast_ram in target.arena_memories
    places = sorted((simulated_address(target, memory), memory.bytes) for memory in target.arena_memories)
    assert all(start + size <= after for (start, size), (after, _) in itertools.pairwise(places))
    if target.simulator.ram_origin != target.ram.origin:
        low, high = target.simulator.ram_origin, target.simulator.ram_origin + target.simulator.ram_bytes
        assert all(low <= start and start + size <= high for start, size in places)


def test_only_other_ram_can_be_marked_for_arenas() -> None:
    chip = tomllib.loads((CHIPS_DIR / "stm32h743zi.toml").read_text())
    core = tomllib.loads((CORES_DIR / "cortex-m7.toml").read_text())
    for name in ("flash", "axi_sram"):
        memories = [{**memory, "arena": True} if memory["name"] == name else memory for memory in chip["memory"]]
        with pytest.raises(ThimbleError, match="marked as arena"):
            parse_target("h7", {**chip, "memory": memories}, core)
