"""What a choice of bits costs the firmware: cycles and bytes of every node, and the arena of a plan of all of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Protocol

from thimble.compiler.ir.graph import Graph, Site, Value
from thimble.compiler.ir.types import QuantParams
from thimble.compiler.ops.quantize import Quantize
from thimble.compiler.ops.support import limit_broken
from thimble.quantize.choices import DTYPES, WIDEST, Bits
from thimble.quantize.narrow import NarrowValue, narrow, narrow_weights, on_fewer_levels, weight_value
from thimble.quantize.parameters import QuantizedWeights


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan within the limits of a build: its arena, the estimated cycles of an inference, and the names of the
    activations that hold bytes where most of the arena is in use."""

    arena_bytes: int
    cycles: int
    crowded: frozenset[str]


class Firmware(Protocol):
    """Kernels and planner of one chip, as far as bits are concerned."""

    def planned(self, graph: Graph, limit_bytes: int | None) -> Planned:
        """The plan of an integer graph within a limit of arena, or the smallest one where none is."""

    def site_cycles(self, site: Site) -> float:
        """Estimated cycles of a whole node with the fastest kernels that it has."""

    def site_bytes(self, site: Site) -> int:
        """Bytes of the constants of a node's kernels, padding and tables included."""


_Form = tuple[tuple[int, ...], int, tuple[int, ...]]
"""Bits of a node's inputs, of its weights, and of its outputs."""


class FirmwareCost:
    """Prices of choices of bits for one int8 graph; what was priced once is not priced again."""

    def __init__(self, graph: Graph, firmware: Firmware) -> None:
        self._graph, self._firmware = graph, firmware
        self._sites = graph.sites
        self._costs: dict[tuple[int, _Form], tuple[float, int]] = {}
        self._weights: dict[tuple[int, int], QuantizedWeights] = {}
        self._plans: dict[tuple[Bits, int | None], Planned] = {}

    def cycles(self, bits: Bits) -> float:
        """Estimated cycles of all nodes run whole."""
        return sum(self._cost(position, bits)[0] for position in range(len(self._sites)))

    def constant_bytes(self, bits: Bits) -> float:
        """Bytes of all constants as the firmware stores them."""
        return float(sum(self._cost(position, bits)[1] for position in range(len(self._sites))))

    def planned(self, bits: Bits, limit_bytes: int | None) -> Planned:
        """The plan of a choice, which does not depend on the values of weights and scales."""
        key = bits, limit_bytes
        if key not in self._plans:
            self._plans[key] = self._firmware.planned(self._drafted(bits), limit_bytes)
        return self._plans[key]

    def _drafted(self, bits: Bits) -> Graph:
        """The graph with the types of a choice, its weights rounded to the nearest."""
        weights = {position: self._rounded(position, width) for position, width in bits.layers.items()}
        values = {}
        for index, width in bits.values.items():
            kind = _narrowed(self._graph.values[index], width).type
            values[index] = NarrowValue(kind.dtype, kind.quant or QuantParams((1.0,), (0,)))
        return narrow(self._graph, weights, values).graph

    def _rounded(self, position: int, width: int) -> QuantizedWeights:
        key = position, width
        if key not in self._weights:
            self._weights[key] = narrow_weights(self._sites[position], DTYPES[width])
        return self._weights[key]

    def _cost(self, position: int, bits: Bits) -> tuple[float, int]:
        node = self._graph.nodes[position]
        form = (
            tuple(bits.value(i) for i in node.inputs),
            bits.layer(position),
            tuple(bits.value(i) for i in node.outputs),
        )
        key = position, form
        if key not in self._costs:
            self._costs[key] = self._priced(position, form)
        return self._costs[key]

    def _priced(self, position: int, form: _Form) -> tuple[float, int]:
        """A node in the form that takes most narrow values, with the conversions of all others beside it."""
        inputs, width, outputs = form
        site = self._sites[position]
        if width != WIDEST:
            weights = self._rounded(position, width)
            site = replace(site, inputs=(site.inputs[0], weight_value(site, weights), *site.inputs[2:]))
        for narrow_inputs, narrow_outputs in product((True, False), repeat=2):
            given = tuple(_in_bits(v, b if narrow_inputs else WIDEST) for v, b in zip(site.inputs, inputs, strict=True))
            made = tuple(
                _narrowed(v, b if narrow_outputs else WIDEST) for v, b in zip(site.outputs, outputs, strict=True)
            )
            trial = replace(site, inputs=given, outputs=made)
            if limit_broken(trial) is None:
                break
        else:
            raise AssertionError(f"node {position} is refused with bits {form}, conversions around it included")
        sites = [trial]
        for value, bits in zip(site.inputs, inputs, strict=True):
            if not narrow_inputs and value is not None and bits != WIDEST:
                sites.append(Site(Quantize(), (_narrowed(value, bits),), (value,), site.source))
        for value, bits in zip(site.outputs, outputs, strict=True):
            if not narrow_outputs and bits != WIDEST:
                sites.append(Site(Quantize(), (value,), (_narrowed(value, bits),), site.source))
        return sum(map(self._firmware.site_cycles, sites)), sum(map(self._firmware.site_bytes, sites))


def _in_bits(value: Value | None, bits: int) -> Value | None:
    return None if value is None else _narrowed(value, bits)


def _narrowed(value: Value, bits: int) -> Value:
    """An int8 activation in fewer bits over about the same range."""
    if bits == WIDEST:
        return value
    kind = replace(value.type, dtype=DTYPES[bits], quant=on_fewer_levels(value.quant, DTYPES[bits]))
    return replace(value, type=kind)
