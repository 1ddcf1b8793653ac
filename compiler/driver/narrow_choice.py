"""Whether fewer bits pay: what a plan takes with them, beside what it would take in int8. All of it is predicted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from thimble.compiler.driver.narrow_report import constant_bytes
from thimble.compiler.ir.graph import Graph, Role, Value
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.ir.types import DType
from thimble.compiler.plan.plan import Plan


class NarrowKind(Enum):
    """What may have fewer bits than 8."""

    ACTIVATIONS = "activations"
    WEIGHTS = "weights"


@dataclass(frozen=True, slots=True)
class Price:
    """What a firmware is predicted to take: bytes of arena and of its layers' constants, code apart, and cycles."""

    arena_bytes: int
    constant_bytes: int
    cycles: int

    @property
    def bytes(self) -> int:
        """Arena and constants together."""
        return self.arena_bytes + self.constant_bytes

    @classmethod
    def of(cls, graph: Graph, plan: Plan, rounding: Rounding, cycles: int) -> Price:
        """The price of a plan that is predicted to take so many cycles with the kernels that `graph` has."""
        constants = sum(constant_bytes(site, rounding) for site in graph.sites)
        return cls(plan.arena_bytes, constants, cycles)


@dataclass(frozen=True, slots=True)
class Bought:
    """What the bits of all activations, or of all weights, bought: `wide` is the price with these in int8.

    `wide` is None where int8 does not fit.
    """

    kind: NarrowKind
    narrow: Price
    wide: Price | None

    @property
    def loses(self) -> bool:
        """Whether the firmware is both larger, RAM and flash together, and slower than in int8."""
        return self.wide is not None and self.narrow.bytes > self.wide.bytes and self.narrow.cycles > self.wide.cycles

    @property
    def text(self) -> str:
        """The comparison in a sentence."""
        if self.wide is None:
            return f"Fewer bits of {self.kind.value}: in 8 bits the model does not fit."
        return (
            f"Fewer bits of {self.kind.value}: {self.narrow.arena_bytes} bytes of arena, "
            f"{self.narrow.constant_bytes} of constants and {self.narrow.cycles} cycles are predicted, against "
            f"{self.wide.arena_bytes}, {self.wide.constant_bytes} and {self.wide.cycles} in 8 bits."
        )

    def row(self, rejected: bool) -> dict[str, Any]:
        """What report.json holds of it; `rejected`: the firmware has 8 bits instead."""
        wide = self.wide
        return {
            "kind": self.kind.value,
            "rejected": rejected,
            "arena_bytes": self.narrow.arena_bytes,
            "arena_bytes_in_int8": None if wide is None else wide.arena_bytes,
            "constant_bytes": self.narrow.constant_bytes,
            "constant_bytes_in_int8": None if wide is None else wide.constant_bytes,
            "cycles_estimate": self.narrow.cycles,
            "cycles_estimate_in_int8": None if wide is None else wide.cycles,
        }


def kinds_of(graph: Graph) -> tuple[NarrowKind, ...]:
    """What has fewer bits in a graph."""
    return tuple(kind for kind in NarrowKind if any(_is_narrow(value, kind) for value in graph.values))


def in_int8(graph: Graph, kind: NarrowKind) -> Graph:
    """The graph with these values in int8, to be priced: scales stay, so that it does not compute the same."""

    def wide(value: Value) -> Value:
        return replace(value, type=replace(value.type, dtype=DType.INT8)) if _is_narrow(value, kind) else value

    return replace(graph, values=tuple(map(wide, graph.values)))


def _is_narrow(value: Value, kind: NarrowKind) -> bool:
    return value.type.dtype.is_packed and (value.role is Role.CONSTANT) is (kind is NarrowKind.WEIGHTS)
