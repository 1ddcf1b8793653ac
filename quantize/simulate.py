"""A network with integers of any width simulated in it, run again only where a change reaches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from thimble.compiler.ir.graph import Graph, Role, Site
from thimble.compiler.ir.operator import Array
from thimble.quantize.calibration import Calibration
from thimble.quantize.loss import loss_values
from thimble.quantize.samples import SampleRunner, compute_float


@dataclass(frozen=True, slots=True)
class Grid:
    """The real numbers scale * (q - zero_point) for integers q of `bits` bits."""

    bits: int
    scale: float
    zero_point: int

    @property
    def low(self) -> int:
        """The smallest integer."""
        return -(1 << (self.bits - 1))

    @property
    def high(self) -> int:
        """The largest integer."""
        return (1 << (self.bits - 1)) - 1

    def nearest(self, real: Array) -> Array:
        """Each number moved to the nearest of the grid, float32."""
        steps = np.multiply(real, np.float32(1 / self.scale), dtype=np.float32)
        np.rint(steps, out=steps)
        np.clip(steps, self.low - self.zero_point, self.high - self.zero_point, out=steps)
        steps *= np.float32(self.scale)
        return steps


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Real weights, in their operator's layout, and the real bias of one node."""

    weights: Array
    bias: Array | None

    def compute(self, site: Site, operands: Sequence[Array]) -> tuple[Array, ...]:
        """The node on float32 numbers, with these in place of its own."""
        bias = operands[2:] if self.bias is None else [self.bias]
        return compute_float(site, [operands[0], self.weights, *bias])


Fit = Callable[[int, Array], Layer | None]
"""(position of a node, its first operand) to what stands in for its weights, None for its own."""


@dataclass(frozen=True, slots=True)
class Precision:
    """The grid of each activation by index of its value, and what stands in for the weights of some nodes."""

    grids: Mapping[int, Grid]
    layers: Mapping[int, Layer] = field(default_factory=dict)


class Simulation:
    """Runs a float graph over samples, each activation moved to its grid.

    `arrays` holds every activation (N, *shape) under the precision that was settled last.
    """

    def __init__(self, graph: Graph, samples: Calibration, precision: Precision) -> None:
        self.graph = graph
        self.samples = samples
        self.points = loss_values(graph)
        self._runner = SampleRunner(graph)
        self._writers = {i: position for position, node in enumerate(graph.nodes) for i in node.outputs}
        self._live = {i for i, value in enumerate(graph.values) if value.role is not Role.CONSTANT}
        self.precision = precision
        self.arrays: dict[int, Array] = {}
        self.arrays = self._run(precision.grids, _given(precision), set(range(len(graph.nodes))), set(graph.inputs))

    def outputs(self, arrays: Mapping[int, Array]) -> list[Array]:
        """The values that are compared, of a run that made `arrays` anew."""
        return [arrays[i] if i in arrays else self.arrays[i] for i in self.points]

    def tried(self, precision: Precision) -> dict[int, Array]:
        """The activations that may differ under another precision."""
        before = self.precision
        values = {i for i in self._live if precision.grids.get(i) != before.grids.get(i)}
        nodes = {p for p in range(len(self.graph.nodes)) if precision.layers.get(p) is not before.layers.get(p)}
        nodes |= {self._writers[i] for i in values if i in self._writers}
        return self._run(precision.grids, _given(precision), nodes, values.intersection(self.graph.inputs))

    def settle(self, precision: Precision) -> None:
        """Take another precision as that which changes start from."""
        self.arrays.update(self.tried(precision))
        self.precision = precision

    def fitted(self, grids: Mapping[int, Grid], fit: Fit) -> tuple[Precision, dict[int, Array]]:
        """Other grids, and each layer as `fit` makes it for what reaches it then; with all activations."""
        layers: dict[int, Layer] = {}

        def made(position: int, operand: Array) -> Layer | None:
            layer = fit(position, operand)
            if layer is not None:
                layers[position] = layer
            return layer

        arrays = self._run(grids, made, set(range(len(self.graph.nodes))), set(self.graph.inputs))
        return Precision(grids, layers), arrays

    def _run(
        self, grids: Mapping[int, Grid], layer_of: Fit, dirty_nodes: set[int], dirty_inputs: set[int]
    ) -> dict[int, Array]:
        made: dict[int, Array] = {}
        for index, x in zip(self.graph.inputs, self.samples.inputs, strict=True):
            if index in dirty_inputs:
                made[index] = _on_grid(x, grids.get(index))
        for position, node in enumerate(self.graph.nodes):
            if position not in dirty_nodes and not any(i in made for i in node.inputs):
                continue
            operands = [self._operand(i, made) for i in node.inputs]
            if all(x is None for x in operands):
                continue
            layer = None if operands[0] is None else layer_of(position, operands[0])
            outputs = self._runner.compute(position, operands, compute_float if layer is None else layer.compute)
            for index, array in zip(node.outputs, outputs, strict=True):
                made[index] = _on_grid(array, grids.get(index))
        return made

    def _operand(self, index: int | None, made: Mapping[int, Array]) -> Array | None:
        """What a node reads, None where it is constant or absent."""
        if index is None or index not in self._live:
            return None
        return made[index] if index in made else self.arrays[index]


def _given(precision: Precision) -> Fit:
    return lambda position, operand: precision.layers.get(position)


def _on_grid(real: Array, grid: Grid | None) -> Array:
    return real if grid is None else grid.nearest(real)
