"""The integer reference: runs a graph in numpy, value by value as the firmware does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Array, Rounding

_ABSENT = np.zeros(0, np.int8)


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
            results = node.op.reference(site, operands, self._rounding)
            arrays.update(zip(node.outputs, results, strict=True))
        return arrays

    def invoke(self, inputs: Sequence[Array]) -> list[Array]:
        """Run one inference; the graph's outputs in order."""
        arrays = self.trace(inputs)
        return [arrays[index].copy() for index in self._graph.outputs]
