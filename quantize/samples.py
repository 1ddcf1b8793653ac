"""Graphs run node by node over all calibration samples, so that each node may be changed before the next one runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from thimble.compiler.ir.graph import Graph, Site
from thimble.compiler.ir.operator import Array, Rounding
from thimble.compiler.ops.batching import batched

CHUNK = 16
"""Samples that a node computes at a time: enough for numpy to be fast, few enough for its caches."""

Compute = Callable[[Site, Sequence[Array]], tuple[Array, ...]]


def compute_float(site: Site, operands: Sequence[Array]) -> tuple[Array, ...]:
    """A node on float32 numbers."""
    return site.op.float_reference(site, operands)


def compute_integers(site: Site, operands: Sequence[Array]) -> tuple[Array, ...]:
    """A node on stored integers, as the firmware computes it."""
    return site.op.reference(site, operands, Rounding.TFLM)


@dataclass
class SampleRunner:
    """Computes nodes of one graph for samples (N, *shape), where `shape` is the value's, its leading 1 included."""

    graph: Graph
    _batches: dict[int, tuple[Site, ...]] = field(default_factory=dict)

    def compute(self, position: int, operands: Sequence[Array | None], function: Compute) -> tuple[Array, ...]:
        """The outputs (N, *shape) of a node.

        `operands` holds an array (N, *shape) for each input, None for inputs that are constant or absent.
        """
        count = next(len(x) for x in operands if x is not None)
        parts = [
            self._compute_chunk(position, [None if x is None else x[start : start + CHUNK] for x in operands], function)
            for start in range(0, count, CHUNK)
        ]
        return tuple(np.concatenate(outputs) for outputs in zip(*parts, strict=True))

    def _compute_chunk(self, position: int, operands: Sequence[Array | None], function: Compute) -> tuple[Array, ...]:
        count = next(len(x) for x in operands if x is not None)
        site = self._sites(count)[position]
        if count > 1 and site is not self.graph.sites[position]:
            joined = [None if x is None else x.reshape(-1, *x.shape[2:]) for x in operands]
            results = function(site, _with_constants(site, joined))
            shapes = (value.type.shape for value in self.graph.sites[position].outputs)
            return tuple(r.reshape(count, *shape) for r, shape in zip(results, shapes, strict=True))
        site = self.graph.sites[position]
        singles = [
            function(site, _with_constants(site, [None if x is None else x[i] for x in operands])) for i in range(count)
        ]
        return tuple(np.stack(outputs) for outputs in zip(*singles, strict=True))

    def _sites(self, count: int) -> tuple[Site, ...]:
        """The nodes for `count` samples at once; those for one sample where the graph cannot be batched."""
        if count not in self._batches:
            graph = batched(self.graph, count) if count > 1 else None
            self._batches[count] = self.graph.sites if graph is None else graph.sites
        return self._batches[count]


def _with_constants(site: Site, operands: Sequence[Array | None]) -> list[Array]:
    """The operands with the constants in their places, and an empty array for what is absent."""
    arrays = []
    for position, operand in enumerate(operands):
        value = site.inputs[position]
        arrays.append(operand if operand is not None else np.zeros(0, np.int8) if value is None else value.constant)
    return arrays


def walk(graph: Graph, inputs: Sequence[Array]) -> Iterator[tuple[int, list[Array | None], tuple[Array, ...]]]:
    """Run a float graph: for each node its position, its operands and its outputs, all of them (N, *shape).

    Values are let go as soon as nothing needs them.
    """
    runner = SampleRunner(graph)
    alive = Alive(graph, inputs)
    for position in range(len(graph.nodes)):
        operands = alive.operands(position)
        if all(x is None for x in operands):
            continue
        outputs = runner.compute(position, operands, compute_float)
        yield position, operands, outputs
        alive.put(position, outputs)


class Alive:
    """Values of all samples that later nodes still read."""

    def __init__(self, graph: Graph, inputs: Sequence[Array]) -> None:
        self._graph = graph
        self._last = {i: p for p, node in enumerate(graph.nodes) for i in node.inputs if i is not None}
        self._arrays = dict(zip(graph.inputs, inputs, strict=True))

    def operands(self, position: int) -> list[Array | None]:
        """The inputs of a node; None for constants and absent ones."""
        return [None if i is None else self._arrays.get(i) for i in self._graph.nodes[position].inputs]

    def put(self, position: int, outputs: Sequence[Array]) -> None:
        """Take up what the node made, let go what it read last; outputs of the graph stay."""
        node = self._graph.nodes[position]
        self._arrays.update(zip(node.outputs, outputs, strict=True))
        for i in {*node.inputs, *node.outputs}:
            if i is not None and self._last.get(i, -1) <= position and i not in self._graph.outputs:
                self._arrays.pop(i, None)

    @property
    def outputs(self) -> list[Array]:
        """The outputs of the graph, once all nodes ran."""
        return [self._arrays[i] for i in self._graph.outputs]


def alive_bytes(graph: Graph) -> int:
    """The most bytes that the values of one sample take at a time while `walk` runs it."""
    last = {i: p for p, node in enumerate(graph.nodes) for i in node.inputs if i is not None}
    alive = set(graph.inputs)
    most = 1
    for position, node in enumerate(graph.nodes):
        alive.update(node.outputs)
        most = max(most, sum(graph.values[i].type.bytes for i in alive))
        alive = {i for i in alive if last.get(i, -1) > position or i in graph.outputs}
    return most
