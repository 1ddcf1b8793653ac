"""Rounding of weights and ranges of activations learned end to end, against the float network's own values."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from thimble.compiler.ir.errors import ToolMissing
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.types import DType, QuantParams
from thimble.quantize.calibration import Calibration
from thimble.quantize.loss import loss_values
from thimble.quantize.parameters import Parameters, QuantizedWeights
from thimble.quantize.sharing import fixed_output, sharing_groups
from thimble.quantize.torch_network import Tensor, TorchNetwork, fake_quantized, relative_error, repeatable
from thimble.quantize.weights import channel_axis, per_channel, store_bias, weight_levels

BATCH = 32
WORK = 4e11
"""Multiply-accumulates of forward passes that learning may spend: a few minutes."""

MOST_STEPS, FEWEST_STEPS = 1000, 250

MOST_PASSES = 100
"""Passes over the samples: with few of them, more steps would learn them by heart."""

_STRETCH_LOW, _STRETCH_HIGH = -0.1, 1.1
"""The sigmoid of a rounding is stretched over these and cut, so that it reaches 0 and 1 (AdaRound, equation 23)."""

_WARM_UP = 0.2
"""Share of the steps before roundings are pushed to either side."""

_SHARPEST, _BLUNTEST = 2.0, 20.0
"""Exponents of the push: from forgiving all but the middle to forgiving nothing (AdaRound, section 4)."""

_PUSH = 1.0
"""Weight of the push beside the loss, which is far below 1; a smaller one left some roundings undecided."""

_LAYER_SHARE = 0.1
_ROUNDING_TRAVEL = 12.0
"""Steps times learning rate of the roundings: enough for each to get from undecided to 0 or 1, however few steps."""

_RANGE_RATE, _BIAS_RATE = 5e-4, 1e-4
_SEED = 6


@dataclass(frozen=True, slots=True)
class _Learned:
    """The tensors that are learned: roundings and biases by position of the node, log-scales by group of values."""

    roundings: dict[int, Tensor]
    biases: dict[int, Tensor]
    log_scales: dict[int, Tensor]


def import_torch() -> Any:
    """PyTorch, or ToolMissing with the line that installs it."""
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise ToolMissing("Learned rounding needs PyTorch: run `pip install 'thimble[torch]'`.") from error


@dataclass(frozen=True, slots=True)
class Lessons:
    """What learning gives: everything, and the ranges and biases alone with every weight rounded to the nearest."""

    all: Parameters
    ranges: Parameters


def learn(graph: Graph, parameters: Parameters, calibration: Calibration, progress: Any) -> Lessons:
    """Parameters whose weights are rounded up or down, and whose ranges are set, by what the whole network loses.

    The loss is the mean squared error of the outputs (before a last softmax) and, by a tenth, of all layers, each in
    units of its variance. Sources: Nagel et al., Up or Down? Adaptive Rounding for Post-Training Quantization (arXiv
    2004.10568); Esser et al., Learned Step Size Quantization (arXiv 1902.08153) for the ranges. The same samples
    give the same result on the same machine. Raises ToolMissing without PyTorch, UnsupportedOp for an operator that
    quantize/torch_network.py lacks.
    """
    torch = import_torch()
    with repeatable(torch):
        return _Learner(torch, graph, parameters).run(calibration, progress)


def steps_for(graph: Graph, samples: int, work: float, most: int) -> int:
    """How many steps the network's size and the number of samples allow, at most `most`; `work` in
    multiply-accumulates of forward passes."""
    allowed = min(work / (BATCH * max(graph.macs, 1)), MOST_PASSES * samples / BATCH)
    return int(np.clip(allowed, FEWEST_STEPS, most))


class _Learner:
    """The simulated integer network and its training."""

    def __init__(self, torch: Any, graph: Graph, parameters: Parameters) -> None:
        self._torch = torch
        self._graph = graph
        self._parameters = parameters
        self._network = TorchNetwork(torch, graph)
        self._groups = sharing_groups(graph)
        self._fixed = {
            i
            for node, site in zip(graph.nodes, graph.sites, strict=True)
            for i in node.outputs
            if fixed_output(site, DType.INT8) == parameters.values.get(i)
        } | set(graph.inputs)
        self._fixed |= {i for i, quant in parameters.values.items() if quant != parameters.values.get(self._groups[i])}
        self._floors: dict[int, Tensor] = {}
        self._scales: dict[int, Tensor] = {}
        self._learned = self._start()

    def run(self, calibration: Calibration, progress: Any) -> Lessons:
        """Train, then round for good."""
        torch, steps = self._torch, steps_for(self._graph, len(calibration), WORK, MOST_STEPS)
        inputs = [torch.from_numpy(x.reshape(len(x), *x.shape[2:])) for x in calibration.inputs]
        learned = self._learned
        optimizer = torch.optim.Adam(
            [
                {"params": list(learned.roundings.values()), "lr": _ROUNDING_TRAVEL / steps},
                {"params": list(learned.log_scales.values()), "lr": _RANGE_RATE},
                {"params": list(learned.biases.values()), "lr": _BIAS_RATE},
            ]
        )
        rates = torch.optim.lr_scheduler.LambdaLR(
            optimizer, [lambda step: 1.0, *[lambda step: (1 + np.cos(np.pi * step / steps)) / 2] * 2]
        )  # roundings keep their rate: most of them are decided last
        order = batches(len(calibration), steps)
        for step, batch in enumerate(progress(order, "learning", steps)):
            optimizer.zero_grad()
            samples = [x[torch.from_numpy(batch)] for x in inputs]
            loss = self._distance(samples) + _PUSH * self._push(step / steps)
            loss.backward()
            optimizer.step()
            rates.step()
        return self._finished()

    def _start(self) -> _Learned:
        """Roundings at the weights as they are, biases and scales as decided."""
        torch = self._torch
        roundings, biases = {}, {}
        for position, weights in self._parameters.weights.items():
            site = self._graph.sites[position]
            axis, real = channel_axis(site), site.input(1).constant
            low, high = weight_levels(weights.dtype)
            scale = per_channel(weights.scales, axis, real.ndim)
            steps = (real / scale).clip(low, high)
            floor = np.floor(steps)
            rest = ((steps - floor) - _STRETCH_LOW) / (_STRETCH_HIGH - _STRETCH_LOW)
            self._floors[position] = torch.from_numpy(floor.astype(np.float32))
            self._scales[position] = torch.from_numpy(scale.astype(np.float32))
            logit = np.log(rest / (1 - rest)).astype(np.float32)
            roundings[position] = torch.from_numpy(logit).requires_grad_()
            in_scale = self._source(position).scale
            assert weights.bias is not None
            bias = (weights.bias * (np.float64(in_scale) * weights.scales)).astype(np.float32)
            biases[position] = torch.from_numpy(bias).requires_grad_()
        log_scales = {}
        for index, quant in self._parameters.values.items():
            root = self._groups[index]
            if index not in self._fixed and root not in log_scales and root not in self._fixed_roots:
                log_scales[root] = torch.tensor(float(np.log(quant.scale)), requires_grad=True)
        return _Learned(roundings, biases, log_scales)

    @property
    def _fixed_roots(self) -> set[int]:
        return {self._groups[i] for i in self._fixed}

    def _source(self, position: int) -> QuantParams:
        index = self._graph.nodes[position].inputs[0]
        assert index is not None
        return self._parameters.values[index]

    def _rounding(self, position: int) -> Tensor:
        """How much of a step is added to the floor of each weight, 0 to 1."""
        spread = _STRETCH_HIGH - _STRETCH_LOW
        return self._torch.clamp(self._torch.sigmoid(self._learned.roundings[position]) * spread + _STRETCH_LOW, 0, 1)

    def _weights(self, position: int) -> tuple[Tensor, Tensor]:
        stored = self._floors[position] + self._rounding(position)
        low, high = weight_levels(self._parameters.weights[position].dtype)
        return stored.clamp(low, high) * self._scales[position], self._learned.biases[position]

    def _simulate(self, index: int, x: Tensor) -> Tensor:
        """A value rounded to its integers; gradients pass through the rounding, and reach the scale."""
        quant = self._parameters.values.get(index)
        if quant is None:
            return x
        learned = self._learned.log_scales.get(self._groups[index])
        scale = quant.scale if learned is None else self._torch.exp(learned)
        low, high = DType.INT8.range
        return fake_quantized(self._torch, x, scale, low - quant.zero_point, high - quant.zero_point)

    def _distance(self, inputs: Sequence[Tensor]) -> Tensor:
        """The loss of simulated integers against the float network on a batch."""
        with self._torch.no_grad():
            wanted = self._network.run(list(inputs))
        got = self._network.run(list(inputs), self._weights, self._simulate)
        ends = loss_values(self._graph)
        loss = sum(relative_error(got[i], wanted[i]) for i in ends)
        layers = [self._graph.nodes[position].outputs[0] for position in self._learned.roundings]
        inner = [relative_error(got[i], wanted[i]) for i in layers if i not in ends]
        return loss + _LAYER_SHARE * sum(inner) / max(len(inner), 1)

    def _push(self, done: float) -> Tensor:
        """What moves roundings to 0 or 1, harder and harder; the mean over all weights."""
        if done < _WARM_UP:
            return 0.0
        along = (done - _WARM_UP) / (1 - _WARM_UP)
        exponent = _SHARPEST + (_BLUNTEST - _SHARPEST) * (1 + np.cos(np.pi * along)) / 2
        total = sum(floor.numel() for floor in self._floors.values())
        return sum((1 - (2 * self._rounding(p) - 1).abs() ** exponent).sum() for p in self._floors) / total

    def _finished(self) -> Lessons:
        values = {}
        for index, quant in self._parameters.values.items():
            learned = self._learned.log_scales.get(self._groups[index])
            scale = quant.scale if learned is None else float(np.float32(np.exp(learned.item())))
            values[index] = replace(quant, scales=(scale,))
        weights, nearest = {}, {}
        for position, before in self._parameters.weights.items():
            up = (self._learned.roundings[position] >= 0).numpy()
            data = np.clip(self._floors[position].numpy() + up, *weight_levels(before.dtype)).astype(np.int8)
            source = self._graph.nodes[position].inputs[0]
            assert source is not None
            bias = store_bias(self._learned.biases[position].detach().numpy(), values[source].scale, before.scales)
            weights[position] = QuantizedWeights(data, before.scales, bias, before.dtype)
            nearest[position] = QuantizedWeights(before.data, before.scales, bias, before.dtype)
        learned = replace(self._parameters, values=values, weights=weights)
        return Lessons(learned, replace(learned, weights=nearest))


def batches(samples: int, steps: int) -> Iterable[np.ndarray[Any, Any]]:
    """Indices of the samples of each step: one shuffled pass after another."""
    rng = np.random.default_rng(_SEED)
    size, order = min(BATCH, samples), np.zeros(0, np.int64)
    for _ in range(steps):
        if len(order) < size:
            order = np.concatenate([order, rng.permutation(samples)])
        yield order[:size]
        order = order[size:]
