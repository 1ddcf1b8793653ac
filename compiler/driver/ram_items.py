"""What may lie in RAM instead of flash, constants of layers and code of kernels, and what was chosen to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thimble.codegen.project import Project
from thimble.codegen.ram_places import RamPlaces, aligned

KINDS = ("weights", "code")


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


def places_of(items: Sequence[Item]) -> RamPlaces:
    """Items as the code generator takes them."""
    names = {kind: frozenset(n for i in items if i.kind == kind for n in i.parts) for kind in KINDS}
    return RamPlaces(names["weights"], names["code"])


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
