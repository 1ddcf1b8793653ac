"""What can be given fewer bits, and the cheapest choice for what it loses: a Lagrangian over an additive price."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np

from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.types import DType
from thimble.quantize.regression import is_linear
from thimble.quantize.sharing import fixed_output, sharing_groups

WIDEST = 8
"""Bits of whatever is not narrowed."""

DTYPES = {8: DType.INT8, 4: DType.INT4, 2: DType.INT2}
"""Types by their bits."""

_RATES = tuple(float(rate) for rate in np.geomspace(1e-4, 1e2, 46))
"""Candidate exchange rates between loss and price, the price of everything in 8 bits being 1."""

_SWEEPS = 12
"""Sweeps of the descent over all tensors; it settles within three or four."""


_MOST_EXCHANGED = 256
"""Changes whose pairs are all tried: a second or two."""


@dataclass(frozen=True, slots=True)
class Tensors:
    """What may be narrowed: `groups` of activations with one grid, by value, and `layers` by position of the node."""

    groups: tuple[tuple[int, ...], ...]
    layers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Bits:
    """How many bits are stored of activations, by value, and of weights, by position of their node; others have 8."""

    values: Mapping[int, int] = field(default_factory=dict)
    layers: Mapping[int, int] = field(default_factory=dict)

    def value(self, index: int | None) -> int:
        """Bits of an activation."""
        return WIDEST if index is None else self.values.get(index, WIDEST)

    def layer(self, position: int) -> int:
        """Bits of the weights of a node."""
        return self.layers.get(position, WIDEST)

    def at_most(self, other: Bits) -> Bits:
        """The fewer bits of two choices, for each tensor."""
        values = {i: min(self.value(i), other.value(i)) for i in {*self.values, *other.values}}
        layers = {p: min(self.layer(p), other.layer(p)) for p in {*self.layers, *other.layers}}
        return Bits(values, layers)

    def __hash__(self) -> int:
        return hash((frozenset(self.values.items()), frozenset(self.layers.items())))

    def with_group(self, members: Sequence[int], bits: int) -> Bits:
        """Other bits for activations that share a grid."""
        kept = {i: b for i, b in self.values.items() if i not in members}
        return Bits(kept if bits == WIDEST else {**kept, **dict.fromkeys(members, bits)}, self.layers)

    def with_layer(self, position: int, bits: int) -> Bits:
        """Other bits for the weights of a node."""
        kept = {p: b for p, b in self.layers.items() if p != position}
        return Bits(self.values, kept if bits == WIDEST else {**kept, position: bits})


@dataclass(frozen=True, slots=True)
class Losses:
    """What each tensor alone loses by number of bits: by first member of its group, and by position of the node."""

    groups: Mapping[int, Mapping[int, float]]
    layers: Mapping[int, Mapping[int, float]]


Price = Callable[[Bits], float]
"""What a choice costs, in units of its own; the less, the better."""


def narrowable(graph: Graph, real: Graph, points: Sequence[int]) -> Tensors:
    """All that could be narrowed in an int8 graph: not its inputs and outputs, nor what is compared of it (`points`).

    `real` is its real form. Values whose operator fixes their scale stay as they are.
    """
    roots = sharing_groups(replace(real, nodes=graph.nodes))
    kept = {*graph.inputs, *graph.outputs, *points}
    for node, site in zip(graph.nodes, graph.sites, strict=True):
        if fixed_output(site, DType.INT8) is not None:
            kept.update(node.outputs)
    groups: dict[int, list[int]] = {}
    for index, value in enumerate(graph.values):
        if value.data is None and value.type.dtype is DType.INT8 and value.type.quant is not None:
            groups.setdefault(roots[index], []).append(index)
    free = tuple(tuple(members) for _, members in sorted(groups.items()) if not kept.intersection(members))
    return Tensors(free, tuple(p for p, site in enumerate(real.sites) if is_linear(site)))


def frontier(tensors: Tensors, losses: Losses, price: Price) -> list[Bits]:
    """The choices that are best at some exchange rate between loss and price, the dearest first.

    Losses are taken to add up. Each rate starts a descent from everything in 8 bits and one from the choice of the
    rate before: tensors are changed one by one as long as that pays.
    """
    found = [Bits()]
    unit, changes = price(Bits()), _changes(tensors, losses)
    for rate in _RATES:

        def total(bits: Bits, rate: float = rate) -> float:
            return lost(tensors, losses, bits) + rate * price(bits) / unit

        best = min((_descended(changes, total, start) for start in (found[-1], Bits())), key=total)
        if best != found[-1]:
            found.append(best)
    return found


def widened(tensors: Tensors, losses: Losses, price: Price, bits: Bits, most: float) -> Bits:
    """A choice with tensors back in 8 bits, those first that lose most, as long as its price is at most `most`."""
    alone = [(losses.groups[g[0]][bits.value(g[0])], g, -1) for g in tensors.groups if bits.value(g[0]) != WIDEST]
    alone += [(losses.layers[p][bits.layer(p)], (), p) for p in tensors.layers if bits.layer(p) != WIDEST]
    for _, members, position in sorted(alone, reverse=True):
        wider = bits.with_group(members, WIDEST) if members else bits.with_layer(position, WIDEST)
        if price(wider) <= most:
            bits = wider
    return bits


def exchanged(tensors: Tensors, losses: Losses, price: Price, bits: Bits, most: float) -> Bits:
    """A choice that loses least among all that change two of its tensors and cost at most `most`, and so on from there.

    It finds what no exchange rate does: choices between those of the frontier. Networks with very many tensors keep
    theirs.
    """
    changes = _changes(tensors, losses)
    best, lowest = bits, lost(tensors, losses, bits)
    for _ in range(_SWEEPS if len(changes) <= _MOST_EXCHANGED else 0):
        before = lowest
        for first, second in combinations(changes, 2):
            candidate = second(first(best))
            loss = lost(tensors, losses, candidate)
            if loss < lowest and price(candidate) <= most:
                best, lowest = candidate, loss
        if lowest == before:
            break
    return best


def lost(tensors: Tensors, losses: Losses, bits: Bits) -> float:
    """The sum of what all tensors lose alone."""
    groups = sum(losses.groups[g[0]].get(bits.value(g[0]), 0.0) for g in tensors.groups)
    return groups + sum(losses.layers[p].get(bits.layer(p), 0.0) for p in tensors.layers)


def _changes(tensors: Tensors, losses: Losses) -> list[Callable[[Bits], Bits]]:
    """Every way to give one tensor some number of bits."""
    groups = [
        lambda old, members=members, bits=bits: old.with_group(members, bits)
        for members in tensors.groups
        for bits in (WIDEST, *losses.groups[members[0]])
    ]
    layers = [
        lambda old, position=position, bits=bits: old.with_layer(position, bits)
        for position in tensors.layers
        for bits in (WIDEST, *losses.layers[position])
    ]
    return [*groups, *layers]


def _descended(changes: Sequence[Callable[[Bits], Bits]], total: Callable[[Bits], float], start: Bits) -> Bits:
    best, lowest = start, total(start)
    for _ in range(_SWEEPS):
        before = lowest
        for change in changes:
            candidate = change(best)
            cost = total(candidate)
            if cost < lowest:
                best, lowest = candidate, cost
        if lowest == before:
            break
    return best
