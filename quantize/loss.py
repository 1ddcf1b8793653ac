"""How far an integer graph is from its float graph on samples: the one number by which candidates are chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Array
from thimble.compiler.ops.dequantize import dequantized
from thimble.compiler.ops.executor import BatchExecutor
from thimble.compiler.ops.sigmoid import Logistic
from thimble.compiler.ops.softmax import Softmax
from thimble.quantize.calibration import Calibration
from thimble.quantize.convert import convert
from thimble.quantize.observers import Histogram, Range
from thimble.quantize.parameters import Parameters, store
from thimble.quantize.samples import CHUNK

SIGNIFICANT = 2.0
"""Standard errors by which learned parameters must lose less on the samples that judge them."""


def loss_values(graph: Graph) -> tuple[int, ...]:
    """The values to compare: the outputs, before a last softmax or logistic, which would hide differences."""
    squashing = {node.outputs[0]: node.inputs[0] for node in graph.nodes if isinstance(node.op, Softmax | Logistic)}
    return tuple(squashing.get(i) or i for i in graph.outputs)


class Judge:
    """Compares integer forms of one float graph over the same samples."""

    def __init__(self, graph: Graph, samples: Calibration) -> None:
        self._graph = graph
        self._samples = samples
        self._points = loss_values(graph)
        self._wanted = run_values(graph, samples.inputs, self._points)

    def whole_ranges(self, histograms: Mapping[int, Histogram]) -> dict[int, Range]:
        """The ranges of the compared values over these samples and those of the histograms.

        An output that is cut off says nothing of the decisions that it stands for, and would drown all other errors.
        """
        wanted = dict(zip(self._points, self._wanted, strict=True))
        return {
            i: histograms[i].range.union(Range(float(x.min()), float(x.max())))
            for i, x in wanted.items()
            if i in histograms
        }

    def loss(self, parameters: Parameters) -> float:
        """Mean squared error of the compared values, in units of their variance, summed over them."""
        return float(self.losses(parameters).mean())

    def losses(self, parameters: Parameters) -> Array:
        """The same for each sample."""
        graph = convert(self._graph, parameters).graph
        inputs = [store(x, graph.values[i].quant, graph.values[i].type.dtype) for i, x in self._pairs()]
        total = np.zeros(len(self._samples))
        for index, wanted, got in zip(self._points, self._wanted, run_values(graph, inputs, self._points), strict=True):
            quant = graph.values[index].type.quant
            real = got if quant is None else dequantized(got, quant)
            variance = float(wanted.var()) or 1.0
            errors = (real.astype(np.float64) - wanted).reshape(len(total), -1)
            total += (errors**2).mean(axis=1) / variance
        return total

    def _pairs(self) -> list[tuple[int, Array]]:
        return list(zip(self._graph.inputs, self._samples.inputs, strict=True))


def is_better(after: Array, before: Array) -> bool:
    """Whether the same samples lose less, by more than chance makes likely among so few; losses (samples,)."""
    gained = before - after
    return bool(gained.mean() > SIGNIFICANT * gained.std() / np.sqrt(len(gained)))


def run_values(graph: Graph, inputs: Sequence[Array], wanted: Sequence[int]) -> list[Array]:
    """Some values of a graph over samples (N, *shape): one array (N, ...) each."""
    executor = BatchExecutor(graph)
    parts: list[list[Array]] = [[] for _ in wanted]
    for start in range(0, len(inputs[0]), CHUNK):
        traced = executor.trace([_joined(x[start : start + CHUNK]) for x in inputs])
        for part, index in zip(parts, wanted, strict=True):
            part.append(traced[index])
    return [np.concatenate(part) for part in parts]


def _joined(samples: Array) -> Array:
    """(N, 1, ...) as (N, ...), which is what a graph for N samples takes."""
    return samples.reshape(len(samples), *samples.shape[2:]) if samples.shape[1:2] == (1,) else samples
