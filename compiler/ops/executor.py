"""The references: runs a graph in numpy, value by value, integers as the firmware computes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from thimble.compiler.ir.graph import Graph, Role, Site
from thimble.compiler.ir.operator import Array, Rounding
from thimble.compiler.ops.batching import batched
from thimble.compiler.ops.support import is_plain

_ABSENT = np.zeros(0, np.int8)


def compute(site: Site, operands: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
    """The outputs of one node: integers as the firmware computes them, plain numbers as they are."""
    if is_plain(site):
        return site.op.float_reference(site, operands)
    return site.op.reference(site, operands, rounding)


class Executor:
    """Runs inferences of one graph, keeping its state between them."""

    def __init__(self, graph: Graph, rounding: Rounding = Rounding.TFLM) -> None:
        self._graph = graph
        self._rounding = rounding
        self._states: dict[int, Array] = {}
        self.reset()

    def reset(self) -> None:
        """Put every state back to its initial contents."""
        self._states = {i: self._graph.values[i].constant.copy() for i in self._graph.states}

    def trace(self, inputs: Sequence[Array]) -> dict[int, Array]:
        """Run one inference; every value that it computed, by index in the graph."""
        arrays: dict[int, Array] = {i: v.data for i, v in enumerate(self._graph.values) if v.data is not None}
        arrays.update(self._states)
        for index, array in zip(self._graph.inputs, inputs, strict=True):
            arrays[index] = array.reshape(self._graph.values[index].type.shape)
        for node, site in zip(self._graph.nodes, self._graph.sites, strict=True):
            operands = [_ABSENT if i is None else arrays[i] for i in node.inputs]
            results = compute(site, operands, self._rounding)
            arrays.update(zip(node.outputs, results, strict=True))
        return arrays

    def invoke(self, inputs: Sequence[Array]) -> list[Array]:
        """Run one inference; the graph's outputs in order."""
        arrays = self.trace(inputs)
        return [arrays[index].copy() for index in self._graph.outputs]


@dataclass
class BatchExecutor:
    """Runs many samples through a graph without state, as many at a time as the graph lets it.

    `trace` and `invoke` take one array (N, *shape) for each input of the graph, `shape` with or without its leading
    1, and give arrays (N, ...) whose first dimension takes the place of the leading 1, or stands before a shape that
    has none.
    """

    graph: Graph
    rounding: Rounding = Rounding.TFLM
    _executors: dict[int, Executor | None] = field(default_factory=dict)

    def trace(self, inputs: Sequence[Array]) -> dict[int, Array]:
        """Every value that depends on the samples, by index in the graph."""
        samples = len(inputs[0])
        if samples not in self._executors:
            graph = batched(self.graph, samples)
            self._executors[samples] = None if graph is None else Executor(graph, self.rounding)
        executor = self._executors[samples]
        if executor is not None:
            return self._without_constants(executor.trace(inputs))
        single = Executor(self.graph, self.rounding)
        traces = [self._without_constants(single.trace([array[i] for array in inputs])) for i in range(samples)]
        return {i: self._joined(i, [trace[i] for trace in traces]) for i in traces[0]}

    def invoke(self, inputs: Sequence[Array]) -> list[Array]:
        """The graph's outputs in order."""
        arrays = self.trace(inputs)
        return [arrays[index] for index in self.graph.outputs]

    def _without_constants(self, arrays: dict[int, Array]) -> dict[int, Array]:
        return {i: array for i, array in arrays.items() if self.graph.values[i].role is not Role.CONSTANT}

    def _joined(self, index: int, samples: list[Array]) -> Array:
        leading_one = self.graph.values[index].type.shape[:1] == (1,)
        return np.concatenate(samples) if leading_one else np.stack(samples)
