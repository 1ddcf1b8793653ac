"""`--tune`: which constants and which kernels' code are worth lying in RAM, by measurement on the simulated chip.

A network's firmware is built with all of it in flash, and with as many constants, and as much code, in RAM as the chip
has room for. What the layers take less is what their constants and kernels are worth there. Those with the most cycles
for each byte are taken, as far as RAM is left. What was measured is kept (ram_cache.py).
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
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.ir.graph import Graph
from thimble.compiler.plan.plan import Plan
from thimble.targets.build import DEFAULT_STACK_BYTES
from thimble.targets.model import Target

MOST_RUNS = 4
"""Firmwares that are measured for constants, and for code: what RAM has no room for in so many stays in flash."""

LEAST_SHARE = 0.0002
"""Of all cycles, what a layer must save for its constants to lie in RAM: less would not show."""

LEAST_CYCLES_PER_BYTE = 0.1

VENEER_BYTES = 32
"""Of RAM for each C file: calls from there to flash go through a veneer, and sections are aligned."""

KINDS = ("weights", "code")

MakeProject = Callable[[RamPlaces], Project]


@dataclass(frozen=True, slots=True)
class Item:
    """Constants of a layer, or the code of kernels that some layers call: C files with their bytes."""

    kind: str
    layers: tuple[int, ...]
    parts: Mapping[str, int]

    @property
    def bytes(self) -> int:
        """What it takes of RAM alone."""
        return sum(self.parts.values())


@dataclass(frozen=True, slots=True)
class Placed:
    """An item in RAM: `bytes` that it takes beside those placed before, `cycles` that it was measured to save."""

    item: Item
    bytes: int
    cycles: int

    @property
    def row(self) -> dict[str, Any]:
        """The item as report.json has it."""
        return {
            "kind": self.item.kind,
            "layers": list(self.item.layers),
            "names": sorted(self.item.parts),
            "bytes": self.bytes,
            "cycles": self.cycles,
        }


@dataclass(frozen=True, slots=True)
class InRam:
    """What was chosen to lie in RAM, and the cycles of the firmware without that; None where nothing was measured."""

    items: tuple[Placed, ...] = ()
    cycles_in_flash: int | None = None

    @property
    def places(self) -> RamPlaces:
        """The items as the code generator takes them."""
        return places_of([placed.item for placed in self.items])

    def report(self, project: Project) -> dict[str, Any]:
        """What report.json says of it; constants that lie in RAM because they are read most are named too."""
        measured = {name for placed in self.items for name in placed.item.parts}
        others = [array for array in project.constants if array.fast and array.name not in measured]
        read_most = [
            {
                "kind": "weights",
                "layers": [] if array.node is None else [array.node],
                "names": [array.name],
                "bytes": aligned(array.bytes),
                "cycles": None,
            }
            for array in others
        ]
        return {"cycles_in_flash": self.cycles_in_flash, "items": [*(p.row for p in self.items), *read_most]}


NOTHING_IN_RAM = InRam()


@dataclass(frozen=True, slots=True)
class Room:
    """RAM that is left: `limit_bytes` in all (None for no limit but the memories'), `fast_bytes` for constants.

    Code has `code_bytes`; where they are part of the RAM that firmware is linked to, it lies behind `code_begins` there
    and behind all data, which ends at `data_end` without constants; `constants_move_code` where these lie there too.
    """

    limit_bytes: int | None
    fast_bytes: int
    code_bytes: int
    code_begins: int | None = None
    data_end: int = 0
    constants_move_code: bool = False

    def holds(self, weights: int, code: int) -> bool:
        """Whether so many bytes of constants and of code fit."""
        if self.limit_bytes is not None and weights + code > self.limit_bytes:
            return False
        if weights > self.fast_bytes:
            return False
        if not code or self.code_begins is None:
            return code <= self.code_bytes
        end = self.data_end + (weights if self.constants_move_code else 0)
        return max(end, self.code_begins) + code <= self.code_begins + self.code_bytes


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


def room_of(static_bytes: int, target: Target, limit_bytes: int | None, apart: Mapping[str, int] | None = None) -> Room:
    """The RAM beside a firmware of so many static bytes, of which blocks `apart` lie in other memories, by name."""
    apart = apart or {}
    main = static_bytes - sum(apart.values()) + DEFAULT_STACK_BYTES
    fast, code = target.fast_ram, target.code_ram
    fast_bytes = target.ram_bytes - main if fast == target.ram else fast.bytes - apart.get(fast.name, 0)
    code_bytes = 0 if code is None else code.bytes
    if code is None or not target.code_lies_in_ram:
        return Room(limit_bytes, fast_bytes, code_bytes)
    begins = code.origin - target.ram.origin
    return Room(limit_bytes, fast_bytes, code_bytes, begins, main, fast == target.ram)


def choose(costs: RamCosts, room: Room) -> list[Placed]:
    """The items that lie in RAM: what saves the most cycles of filling the room with both kinds, with one first,
    or with constants alone, since they get in each other's way."""
    orders = (KINDS,), (("weights",), ("code",)), (("code",), ("weights",)), (("weights",),)
    found = [_fill(costs, room, order) for order in orders]
    return max(found, key=lambda placed: (sum(p.cycles for p in placed), -sum(p.bytes for p in placed)))


def choose_for_ram(costs: RamCosts, plan: Plan, target: Target, options: CompileOptions) -> InRam:
    """What is to lie in RAM beside a plan's arena, within the SRAM asked for."""
    taken = costs.static_bytes + costs.stack_bytes
    limits = (options.fast_weights_bytes, None if options.max_sram_bytes is None else options.max_sram_bytes - taken)
    limit = min((limit for limit in limits if limit is not None), default=None)
    apart = {block.memory: block.bytes for block in plan.blocks if block.memory != target.ram.name}
    return InRam(tuple(choose(costs, room_of(costs.static_bytes, target, limit, apart))), costs.cycles)


def _fill(costs: RamCosts, room: Room, order: Sequence[Sequence[str]]) -> list[Placed]:
    """Items of some kinds, then of others, each time the one that saves the most cycles for each byte that it takes
    beside what is there already, since kernels share C files."""
    chosen: list[Placed] = []
    taken: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
    for kinds in order:
        items = [found for found in costs.items if found[0].kind in kinds]
        _fill_with([found for found in items if found[1] >= LEAST_SHARE * costs.cycles], room, taken, chosen)
    return chosen


def _fill_with(
    left: list[tuple[Item, int]], room: Room, taken: dict[str, dict[str, int]], chosen: list[Placed]
) -> None:
    """Add items to those that were chosen, and their parts to what is taken by kind."""
    while left:
        ranked = sorted(left, key=lambda found: _order(found[0], found[1], taken[found[0].kind]))
        for item, saved in ranked:
            added = _added(item, taken[item.kind])
            together = {kind: sum(parts.values()) + added * (kind == item.kind) for kind, parts in taken.items()}
            if saved >= LEAST_CYCLES_PER_BYTE * added and room.holds(together["weights"], together["code"]):
                chosen.append(Placed(item, added, saved))
                taken[item.kind] |= item.parts
                left.remove((item, saved))
                break
        else:
            break


def in_ram_text(in_ram: InRam) -> str:
    """What was chosen, in a line."""
    if not in_ram.items:
        return "Weights and code stay in flash: none saves enough cycles in the RAM that is left"
    parts = []
    for kind in KINDS:
        placed = [p for p in in_ram.items if p.item.kind == kind]
        if placed:
            layers = len({layer for p in placed for layer in p.item.layers})
            saved = sum(p.cycles for p in placed)
            parts.append(f"{kind} of {layers} layers ({sum(p.bytes for p in placed)} bytes, {saved} cycles less)")
    return f"In RAM: {', '.join(parts)}"


def places_of(items: Sequence[Item]) -> RamPlaces:
    """Items as the code generator takes them."""
    names = {kind: frozenset(n for i in items if i.kind == kind for n in i.parts) for kind in KINDS}
    return RamPlaces(names["weights"], names["code"])


def _order(item: Item, saved: int, taken: Mapping[str, int]) -> tuple[float, str, tuple[int, ...]]:
    return -saved / max(_added(item, taken), 1), item.kind, item.layers


def _added(item: Item, taken: Mapping[str, int]) -> int:
    return sum(size for name, size in item.parts.items() if name not in taken)


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
