"""What the outputs feel of errors in each activation: gradients over samples, and what clipped values would cost.

To first order, an error e in the elements of an activation moves an output by the sum of gradient times e. Rounding
errors of single elements are taken to be independent, so that their squares add up; what is clipped is known value by
value, and so is what it does to each sample. The outputs' own errors are taken in a random direction, so that the mean
over samples is that over all outputs (Hutchinson's estimator).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thimble.compiler.ir.graph import Graph, Site
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.activation import BOUNDS
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.convolution import WeightedOperator
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.ops.fully_connected import FullyConnected
from thimble.compiler.ops.softmax import Softmax
from thimble.compiler.passes.draft import Draft
from thimble.quantize.calibration import Calibration
from thimble.quantize.equalize import layer_pairs
from thimble.quantize.loss import loss_values
from thimble.quantize.regression import all_windows
from thimble.quantize.sharing import sharing_groups
from thimble.quantize.torch_network import Tensor, TorchNetwork

ROOM = np.array([0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.15, 1.3, 1.5, 1.75, 2.0])
"""Candidate ends of a range, as multiples of the largest value that other samples reached."""

SMALLEST_PEAK = 0.01
"""Channels with smaller values, as shares of the largest one of the tensor, count as having this one."""

_BATCH = 25
_SEED = 6

_MOST_PRODUCTS = 1 << 22
"""Weights of the largest layer whose own errors are weighed against those of its operand."""


@dataclass(frozen=True, slots=True, eq=False)
class ErrorCost:
    """What errors of one activation cost, in mean squares of the outputs.

    `low` (0 or less) and `peaks` (channels,), 0 or more, are the extremes over all samples. `gain` (channels,) is the
    cost for each squared error of an element. `clipped` (len(ROOM), channels) is the cost where a channel is cut off
    at ROOM times its peak, `clipped_whole` (len(ROOM),) where all values that share its quantization are at ROOM times
    their range; both are measured with peaks of samples other than those that are clipped. `weight_gain` (outputs,
    channels) is the cost for each squared error of a weight of the one layer that reads the value, summed over taps;
    None where its channels cannot have scales of their own or weights have one each (depthwise).
    """

    low: float
    peaks: Array
    gain: Array
    clipped: Array
    clipped_whole: Array
    weight_gain: Array | None


def measure(torch: Any, graph: Graph, samples: Calibration) -> Mapping[int, ErrorCost]:
    """The costs of every activation that a node makes and the compared outputs depend on.

    Samples 2k and 2k + 1 fall into the same half; what is clipped in one half has the peaks of the other. Raises
    UnsupportedOp for an operator that quantize/torch_network.py lacks.
    """
    return _Measurement(torch, graph, samples).run()


class _Measurement:
    """Sums over samples, halves one after the other."""

    def __init__(self, torch: Any, graph: Graph, samples: Calibration) -> None:
        self._torch = torch
        self._graph = graph
        self._samples = samples
        self._network = TorchNetwork(torch, graph)
        self._made = [i for node in graph.nodes for i in node.outputs if graph.values[i].type.dtype is DType.FLOAT32]
        self._points = loss_values(graph)
        self._squashed = {node.inputs[0] for node in graph.nodes if isinstance(node.op, Softmax)}
        self._roots = sharing_groups(graph)
        self._readers = {graph.nodes[p].outputs[0]: q for p, q in layer_pairs(Draft(graph))}
        self._weighed = {i: q for i, q in self._readers.items() if _is_weighed(graph.sites[q])}
        self._sums: dict[tuple[str, int], Array] = {}

    def run(self) -> dict[int, ErrorCost]:
        """The costs by index of the value."""
        torch = self._torch
        half = np.arange(len(self._samples)) // 2 % 2
        extremes = [self._extremes(np.flatnonzero(half == side)) for side in (0, 1)]
        random = torch.Generator().manual_seed(_SEED)
        for side in (0, 1):
            for batch in self._batches(np.flatnonzero(half == side)):
                self._add(batch, extremes[1 - side] or extremes[side], random)
        return {i: self._cost(i, [x[i] for x in extremes if i in x]) for i in self._made if ("gain", i) in self._sums}

    def _batches(self, indices: Array) -> Iterator[list[Tensor]]:
        for start in range(0, len(indices), _BATCH):
            part = self._samples.part(indices[start : start + _BATCH]).inputs
            yield [self._torch.from_numpy(np.ascontiguousarray(x.reshape(len(x), *x.shape[2:]))) for x in part]

    def _extremes(self, indices: Array) -> dict[int, tuple[Array, Array]]:
        """The smallest and the largest value of each channel of each activation over some samples."""
        found: dict[int, tuple[Array, Array]] = {}
        for batch in self._batches(indices):
            with self._torch.no_grad():
                values = self._network.run(batch)
            for i in self._made:
                rows = _by_channels(values[i].numpy())
                low, high = rows.min(axis=(0, 1)), rows.max(axis=(0, 1))
                before = found.get(i, (low, high))
                found[i] = np.minimum(before[0], low), np.maximum(before[1], high)
        return found

    def _add(self, batch: list[Tensor], extremes: Mapping[int, tuple[Array, Array]], random: Any) -> None:
        """What one batch adds to all sums."""
        values, gradients = self._gradients(batch, random)
        whole: dict[int, tuple[float, float]] = {}
        for i, (low, high) in extremes.items():
            before = whole.get(self._roots[i], (0.0, 0.0))
            whole[self._roots[i]] = min(before[0], float(low.min())), max(before[1], float(high.max()))
        for i, gradient in gradients.items():
            felt, x = _by_channels(gradient), _by_channels(values[i])
            self._sum("gain", i, (felt**2).sum(axis=(0, 1)))
            ends = whole[self._roots[i]]
            self._sum("clipped_whole", i, np.stack([_felt_cut(felt, x, r * ends[0], r * ends[1]).sum() for r in ROOM]))
            peaks = np.maximum(extremes[i][1], SMALLEST_PEAK * max(float(extremes[i][1].max()), 0.0))
            self._sum("clipped", i, np.stack([_felt_cut_channels(felt, x, r * peaks) for r in ROOM]))
            if i in self._weighed:
                site = self._graph.sites[self._weighed[i]]
                made = self._graph.nodes[self._weighed[i]].outputs[0]
                self._sum("weights", i, _weight_gain(site, values[i], values[made], gradients[made]))

    def _gradients(self, batch: list[Tensor], random: Any) -> tuple[dict[int, Array], dict[int, Array]]:
        """Every activation (N, ...), and the gradient of the outputs in a random direction."""
        torch, errors = self._torch, {}
        values = {}

        def disturbed(index: int, x: Tensor) -> Tensor:
            if index in self._graph.inputs:
                return x
            values[index] = x.detach().numpy()
            errors[index] = torch.zeros_like(x, requires_grad=True)
            return x + errors[index]

        made = self._network.run(batch, None, disturbed)
        total = sum((made[i] * self._direction(i, made[i].shape, random)).sum() for i in self._points)
        indices = list(errors)
        found = torch.autograd.grad(total, [errors[i] for i in indices], allow_unused=True)
        return values, {i: g.numpy() for i, g in zip(indices, found, strict=True) if g is not None}

    def _direction(self, index: int, shape: Sequence[int], random: Any) -> Tensor:
        """+1 or -1 for each output; before a softmax, which ignores what all logits have in common, a direction of
        the same length without that."""
        torch = self._torch
        if index not in self._squashed or shape[-1] == 1:
            return torch.randint(0, 2, tuple(shape), generator=random) * 2.0 - 1.0
        normal = torch.randn(tuple(shape), generator=random)
        centred = normal - normal.mean(-1, keepdim=True)
        return centred / centred.norm(dim=-1, keepdim=True) * float(np.sqrt(shape[-1]))

    def _sum(self, kind: str, index: int, addend: Array) -> None:
        self._sums[kind, index] = self._sums.get((kind, index), 0.0) + addend / len(self._samples)

    def _cost(self, index: int, extremes: Sequence[tuple[Array, Array]]) -> ErrorCost:
        peaks = np.maximum(np.max([high for _, high in extremes], axis=0), 0.0).astype(np.float64)
        low = min(min(float(low.min()) for low, _ in extremes), 0.0)
        found = [self._sums[kind, index] for kind in ("gain", "clipped", "clipped_whole")]
        return ErrorCost(low, peaks, found[0], found[1], found[2], self._sums.get(("weights", index)))


def _is_weighed(site: Site) -> bool:
    """Whether errors of this layer's weights can be weighed against those of its operand."""
    return isinstance(site.op, Conv2D | FullyConnected) and site.input(1).constant.size <= _MOST_PRODUCTS


def takes_any_factors(site: Site) -> bool:
    """Whether a layer has a scale for each channel of its operand, so that factors cost its weights nothing."""
    return isinstance(site.op, DepthwiseConv2D)


def _by_channels(x: Array) -> Array:
    """(N, elements, channels), float64."""
    return np.asarray(x.reshape(len(x), -1, x.shape[-1] if x.ndim > 1 else 1), np.float64)


def _felt_cut(felt: Array, x: Array, low: float, high: float) -> Array:
    """For each sample the squared change of the outputs where values are cut off at both ends."""
    return np.asarray((felt * (x - np.clip(x, low, high))).sum(axis=(1, 2)) ** 2)


def _felt_cut_channels(felt: Array, x: Array, peaks: Array) -> Array:
    """For each channel that change, summed over samples, where it alone is cut off at its peak."""
    return np.asarray(((felt * np.maximum(x - peaks, 0.0)).sum(axis=1) ** 2).sum(axis=0))


def _weight_gain(site: Site, operand: Array, made: Array, gradient: Array) -> Array:
    """(outputs, channels): squared gradients of each sample to the weights, summed over samples and taps."""
    op = site.op
    assert isinstance(op, WeightedOperator)
    low, high = BOUNDS[op.activation]
    moves = (made > (-np.inf if low is None else low)) & (made < (np.inf if high is None else high))
    felt = _by_channels(gradient * moves)
    channels = site.input(1).type.shape[-1]
    if isinstance(op, FullyConnected):
        rows = operand.reshape(*felt.shape[:2], channels).astype(np.float64)
    else:
        rows = all_windows(site, operand[:, None])[0].reshape(*felt.shape[:2], -1)
    total: Array = np.zeros((felt.shape[2], rows.shape[2]))
    for one, row in zip(felt, rows, strict=True):
        total += (one.T @ row) ** 2
    return np.asarray(total.reshape(len(total), -1, channels).sum(axis=1))
