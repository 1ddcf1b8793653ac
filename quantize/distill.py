"""Short distillation: weights, ranges and biases of a choice of bits trained to answer as the real network does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thimble.compiler.ir.operator import Array
from thimble.quantize.calibration import COLOURS, Calibration
from thimble.quantize.choices import DTYPES
from thimble.quantize.learned import batches, import_torch, steps_for
from thimble.quantize.loss import loss_values
from thimble.quantize.refit import NarrowWeights
from thimble.quantize.sensitivity import Fitted, Sensitivity
from thimble.quantize.simulate import Grid, Layer
from thimble.quantize.torch_network import Tensor, TorchNetwork, fake_quantized, relative_error, repeatable
from thimble.quantize.weights import channel_axis, per_channel, weight_levels

WORK = 1.6e12
"""Multiply-accumulates of forward passes that distillation may spend: some minutes on one core."""

MOST_STEPS = 4000

_WEIGHT_RATE, _BIAS_RATE, _RANGE_RATE = 4e-3, 1e-3, 1e-3
"""Learning rates: of weights and biases in units of their layer's standard deviation, of logarithms of scales."""

_WARM_UP = 50
"""Steps over which the learning rate rises: Adam knows little of the gradients in the first ones."""

_SHIFT = 16
"""Images are moved by up to this part of their size."""

_TINY = 1e-6


def distilled(measured: Sensitivity, fitted: Fitted, samples: Calibration, progress: Any) -> Fitted:
    """The choice with weights, ranges and biases that make its outputs those of the network in real numbers.

    Integers are simulated with straight-through gradients, and scales of weights and activations are learned with
    them (Esser et al., LSQ, arXiv 1902.08153). The loss is the squared error of the outputs (before a last softmax)
    and of all layers, each in units of its variance. Samples need no labels; images are mirrored and moved a little,
    the real network being asked about each of them. The same samples give the same result on the same machine. Raises
    ToolMissing without PyTorch, UnsupportedOp for an operator that quantize/torch_network.py lacks.
    """
    torch = import_torch()
    with repeatable(torch):
        student = _Student(torch, measured, fitted)
        student.train(samples, progress)
        return student.fitted()


@dataclass(frozen=True, slots=True)
class _Learned:
    """The tensors that are learned, by position of the node; `ranges` by the first value of a group."""

    weights: dict[int, Tensor]
    weight_log_scales: dict[int, Tensor]
    biases: dict[int, Tensor]
    ranges: dict[int, Tensor]


class _Student:
    """The simulated integer network and its training."""

    def __init__(self, torch: Any, measured: Sensitivity, fitted: Fitted) -> None:
        self._torch = torch
        self._graph = measured.real
        self._fitted = fitted
        self._network = TorchNetwork(torch, measured.real)
        self._roots = {i: group[0] for group in measured.tensors.groups for i in group}
        self._ends = loss_values(measured.real)
        self._inner = [i for p in fitted.weights if (i := measured.real.nodes[p].outputs[0]) not in self._ends]
        self._learned = self._start()

    def train(self, samples: Calibration, progress: Any) -> None:
        """Steps of Adam at a rate that falls as a cosine."""
        steps = steps_for(self._graph, len(samples), WORK, MOST_STEPS)
        optimizer = self._torch.optim.Adam(self._rates())
        schedule = self._torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min(1.0, (step + 1) / _WARM_UP) * (1 + np.cos(np.pi * step / steps)) / 2
        )
        rng = np.random.default_rng(0)
        for batch in progress(batches(len(samples), steps), "distilling", steps):
            inputs = [x[batch].reshape(len(batch), *x.shape[2:]) for x in samples.inputs]
            given = varied(inputs[0], rng) if len(inputs) == 1 else None
            loss = self._loss([self._torch.from_numpy(x) for x in (inputs if given is None else [given])])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()

    def fitted(self) -> Fitted:
        """What was learned, in integers."""
        grids = {}
        for index, grid in self._fitted.grids.items():
            root = self._roots.get(index)
            scale = grid.scale if root is None else float(np.float32(self._learned.ranges[root].exp().item()))
            grids[index] = Grid(grid.bits, scale, grid.zero_point)
        return Fitted(self._fitted.bits, grids, {p: self._integers(p) for p in self._fitted.weights})

    def _start(self) -> _Learned:
        """Everything as it was fitted: weights before they were rounded."""
        weights, scales, biases = {}, {}, {}
        for position, made in self._fitted.weights.items():
            shaped = per_channel(np.log(made.scales), channel_axis(self._graph.sites[position]), made.data.ndim)
            assert made.layer.bias is not None
            weights[position] = self._variable(made.real)
            scales[position] = self._variable(shaped)
            biases[position] = self._variable(made.layer.bias)
        ranges = {root: self._variable(np.log(self._fitted.grids[root].scale)) for root in set(self._roots.values())}
        return _Learned(weights, scales, biases, ranges)

    def _variable(self, start: Any) -> Tensor:
        return self._torch.tensor(np.asarray(start, np.float32), requires_grad=True)

    def _rates(self) -> list[dict[str, Any]]:
        learned = self._learned
        spread = [(_WEIGHT_RATE, w) for w in learned.weights.values()]
        spread += [(_BIAS_RATE, b) for b in learned.biases.values()]
        rates = [{"params": [x], "lr": rate * (float(x.detach().std(correction=0)) + _TINY)} for rate, x in spread]
        logarithms = [*learned.weight_log_scales.values(), *learned.ranges.values()]
        return [*rates, {"params": logarithms, "lr": _RANGE_RATE}]

    def _weights(self, position: int) -> tuple[Tensor, Tensor]:
        learned, low_high = self._learned, self._levels(position)
        scale = learned.weight_log_scales[position].exp()
        return fake_quantized(self._torch, learned.weights[position], scale, *low_high), learned.biases[position]

    def _levels(self, position: int) -> tuple[int, int]:
        return weight_levels(DTYPES[self._fitted.weights[position].bits])

    def _simulate(self, index: int, x: Tensor) -> Tensor:
        grid = self._fitted.grids.get(index)
        if grid is None:
            return x
        root = self._roots.get(index)
        scale = grid.scale if root is None else self._learned.ranges[root].exp()
        return fake_quantized(self._torch, x, scale, grid.low - grid.zero_point, grid.high - grid.zero_point)

    def _loss(self, inputs: Sequence[Tensor]) -> Tensor:
        with self._torch.no_grad():
            wanted = self._network.run(list(inputs))
        got = self._network.run(list(inputs), self._weights, self._simulate)
        inner = [relative_error(got[i], wanted[i]) for i in self._inner]
        return sum(relative_error(got[i], wanted[i]) for i in self._ends) + sum(inner) / max(len(inner), 1)

    def _integers(self, position: int) -> NarrowWeights:
        made, learned = self._fitted.weights[position], self._learned
        real, scale = learned.weights[position].detach(), learned.weight_log_scales[position].detach().exp()
        stored = self._torch.round(real / scale).clamp(*self._levels(position))
        layer = Layer((stored * scale).numpy(), learned.biases[position].detach().numpy())
        return NarrowWeights(made.bits, stored.numpy().astype(np.int8), scale.reshape(-1).numpy(), layer, real.numpy())


def varied(x: Array, rng: np.random.Generator) -> Array:
    """Images (N, H, W, 3) each mirrored by chance and moved, its edges repeated; other samples as they are."""
    if x.ndim != 4 or x.shape[3] != COLOURS:
        return x
    count, height, width, _ = x.shape
    mirrored = np.where(rng.random(count)[:, None, None, None] < 0.5, x[:, :, ::-1], x)
    rows, columns = (
        np.clip(np.arange(size) + rng.integers(-(size // _SHIFT), size // _SHIFT + 1, (count, 1)), 0, size - 1)
        for size in (height, width)
    )
    return np.ascontiguousarray(mirrored[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]])
