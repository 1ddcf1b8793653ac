"""What constants and code are worth in RAM, by measurement on the simulated chip.

A firmware is built with all of it in flash, and with as many constants, and as much code, in RAM as the chip has room
for: what the layers take less is what their constants and kernels are worth there. It is kept (ram_cache.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from thimble.codegen.project import Project
from thimble.codegen.ram_places import RamPlaces, aligned
from thimble.compiler.driver import ram_cache, tuned_cache
from thimble.compiler.driver.layer_bench import GraphCycles, measure_project
from thimble.compiler.driver.ram_items import KINDS, Item, places_of
from thimble.compiler.driver.ram_room import Room, room_of
from thimble.compiler.ir.graph import Graph
from thimble.targets.model import Target

MOST_RUNS = 4
"""Firmwares that are measured for constants, and for code: what RAM has no room for in so many stays in flash."""

VENEER_BYTES = 32
"""Of RAM for each C file: calls from there to flash go through a veneer, and sections are aligned."""

MakeProject = Callable[[RamPlaces], Project]


@dataclass(frozen=True, slots=True)
class RamCosts:
    """What was measured of a firmware: cycles with all in flash, RAM that it takes, and what each item saves.

    `static_bytes` are those of all variables with the arena, `stack_bytes` what was used of the stack.
    """

    cycles: int
    static_bytes: int
    stack_bytes: int
    items: tuple[tuple[Item, int], ...]

    @property
    def row(self) -> dict[str, Any]:
        """The costs as a file holds them."""
        items = [[i.kind, list(i.layers), dict(i.parts), saved] for i, saved in self.items]
        return {"cycles": self.cycles, "static": self.static_bytes, "stack": self.stack_bytes, "items": items}

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> RamCosts:
        """Costs from a file. Raises AttributeError, KeyError, TypeError or ValueError where they are none."""
        items = [
            (Item(str(kind), tuple(map(int, layers)), {str(n): int(b) for n, b in parts.items()}), int(saved))
            for kind, layers, parts, saved in row["items"]
        ]
        return cls(int(row["cycles"]), int(row["static"]), int(row["stack"]), tuple(items))


def measure_costs(
    make: MakeProject, graph: Graph, target: Target, say: Callable[[str], None] = lambda _: None
) -> RamCosts:
    """What constants and code of a firmware are worth in RAM; looked up where the same firmware was measured before.

    Raises DoesNotFit where the firmware itself is too large, ToolMissing where the simulator or the compiler is.
    """
    plain = make(RamPlaces())
    key = ram_cache.key_of(plain, target)
    known = _known(key)
    if known is not None:
        return known
    flash = measure_project(plain, graph, target)
    room = room_of(flash.sizes.ram_static_bytes, target, None)
    items = [*weights_items(plain), *code_items(plain, flash.code_bytes, target)]
    runs = list(_runs(items, room))
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        measured = pool.map(lambda run: measure_project(make(places_of(run)), graph, target), runs)
        saved = [(item, _saved(item, flash, ram)) for run, ram in zip(runs, measured, strict=True) for item in run]
    costs = RamCosts(flash.cycles, flash.sizes.ram_static_bytes, flash.stack_bytes, tuple(saved))
    with tuned_cache.as_far_as_possible(say):
        ram_cache.save(key, costs.row)
    return costs


def _known(key: str) -> RamCosts | None:
    row = ram_cache.load(key)
    try:
        return None if row is None else RamCosts.of_row(row)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def weights_items(project: Project) -> list[Item]:
    """The constants of each layer, those first that are read most for each byte."""
    parts: dict[int, dict[str, int]] = {}
    reads: dict[int, int] = {}
    for array in project.constants:
        if array.node is not None and array.bytes:
            parts.setdefault(array.node, {})[array.name] = aligned(array.bytes)
            reads[array.node] = reads.get(array.node, 0) + array.reads
    items = [Item("weights", (node,), names) for node, names in parts.items()]
    return sorted(items, key=lambda item: (-reads[item.layers[0]] / item.bytes, item.layers))


def code_items(project: Project, code_bytes: Mapping[str, int], target: Target) -> list[Item]:
    """The C files of kernels, those together that the same layers call; none where code in RAM is no faster."""
    if target.code_ram is None:
        return []
    layers: dict[frozenset[str], list[int]] = {}
    for node, files in sorted(project.sources.items()):
        layers.setdefault(files, []).append(node)
    return [
        Item("code", tuple(nodes), {name: aligned(code_bytes[name]) + VENEER_BYTES for name in sorted(files)})
        for files, nodes in layers.items()
    ]


def _runs(items: Sequence[Item], room: Room) -> Iterator[list[Item]]:
    """Items that are measured together, constants apart from code; what does not fit in MOST_RUNS is left out."""
    for kind in KINDS:
        left = [item for item in items if item.kind == kind]
        for _ in range(MOST_RUNS):
            run: list[Item] = []
            for item in left:
                taken = sum({n: b for i in (*run, item) for n, b in i.parts.items()}.values())
                if room.holds(*((taken, 0) if kind == "weights" else (0, taken))):
                    run.append(item)
            if not run:
                break
            left = [item for item in left if item not in run]
            yield run


def _saved(item: Item, flash: GraphCycles, ram: GraphCycles) -> int:
    return sum(_cycles(flash, layer) - _cycles(ram, layer) for layer in item.layers)


def _cycles(measured: GraphCycles, layer: int) -> int:
    node = measured.nodes[layer]
    return 0 if node is None else node.cycles
