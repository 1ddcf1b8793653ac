"""The float graph and its integer form side by side, node by node over samples: bias correction and layer figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from thimble.compiler.ir.graph import Graph, Site, constant
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType, QuantParams
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.convolution import WeightedOperator
from thimble.compiler.ops.dequantize import dequantized
from thimble.quantize.calibration import Calibration
from thimble.quantize.convert import convert
from thimble.quantize.parameters import Parameters, QuantizedWeights, store
from thimble.quantize.refit import passed_on
from thimble.quantize.regression import is_linear
from thimble.quantize.samples import Alive, SampleRunner, compute_float, compute_integers
from thimble.quantize.weights import channel_axis, real_weights, store_bias


@dataclass(frozen=True, slots=True)
class LayerFigures:
    """What quantization did to one value of the network.

    `sqnr_db` is 10 * log10 of signal power over error power, infinite where there is no error; `used_percent` is the
    part of the integers' range between the smallest and the largest that occurred, `clipped_percent` the share of
    values that lay outside of it.
    """

    layer: int
    op: str
    name: str
    dtype: DType
    scale: float
    zero_point: int
    sqnr_db: float
    used_percent: float
    clipped_percent: float


def correct_biases(graph: Graph, parameters: Parameters, calibration: Calibration) -> Parameters:
    """Move each bias by the mean error that integers bring to its channel, layer by layer.

    Every layer sees the integers that the corrected layers before it give. Source: Nagel et al., Data-Free
    Quantization through Weight Equalization and Bias Correction (arXiv 1906.04721), section 4.2, with means taken
    over calibration data.
    """
    return _corrected_layers(graph, parameters, calibration, lambda integers, position, weights: weights)


def round_weights(graph: Graph, parameters: Parameters, calibration: Calibration) -> Parameters:
    """Round the weights of each layer for the integers that reach it (refit.passed_on), and correct its bias."""

    def rounded(integers: _Integers, position: int, weights: QuantizedWeights) -> QuantizedWeights:
        site = graph.sites[position]
        if not is_linear(site):
            return weights
        return replace(weights, data=passed_on(site, integers.real_operand(position)[0], weights.scales))

    return _corrected_layers(graph, parameters, calibration, rounded)


def _corrected_layers(
    graph: Graph,
    parameters: Parameters,
    calibration: Calibration,
    change: Callable[[_Integers, int, QuantizedWeights], QuantizedWeights],
) -> Parameters:
    """Layer by layer, the weights changed and the bias moved by the mean error that is left."""
    floats, runner = Alive(graph, calibration.inputs), SampleRunner(graph)
    integers = _Integers(graph, parameters, calibration)
    weights = dict(parameters.weights)
    for position, site in enumerate(graph.sites):
        operands = floats.operands(position)
        if all(x is None for x in operands):
            continue
        if position in weights and isinstance(site.op, WeightedOperator):
            weights[position] = change(integers, position, weights[position])
            plain = runner.compute(position, operands, _without_activation)
            weights[position] = _corrected(integers, runner, position, weights[position], plain[0])
        floats.put(position, runner.compute(position, operands, compute_float))
        integers.advance(position, weights.get(position))
    return replace(parameters, weights=weights)


def _without_activation(site: Site, operands: Sequence[Array]) -> tuple[Array, ...]:
    assert isinstance(site.op, WeightedOperator)
    op = replace(site.op, activation=Activation.NONE)
    return compute_float(replace(site, op=op), operands)


def _corrected(
    integers: _Integers, runner: SampleRunner, position: int, weights: QuantizedWeights, wanted: Array
) -> QuantizedWeights:
    """Weights whose bias makes the means of the channels those of `wanted`, the float sums (N, ..., channels)."""
    site = integers.source.sites[position]
    real, quant = integers.real_operand(position)
    stored = real_weights(weights, channel_axis(site))
    assert weights.bias is not None
    bias = weights.bias * (np.float64(quant.scale) * weights.scales)

    def with_integers(batched: Site, operands: Sequence[Array]) -> tuple[Array, ...]:
        return _without_activation(batched, [operands[0], stored, bias.astype(np.float32)])

    got = runner.compute(position, [real, None, None], with_integers)[0]
    axes = tuple(range(wanted.ndim - 1))
    error = (got.astype(np.float64) - wanted).mean(axis=axes)
    return replace(weights, bias=store_bias(bias - error, quant.scale, weights.scales))


class _Integers:
    """The integer graph run node by node behind the float one, its biases replaced as they are corrected."""

    def __init__(self, graph: Graph, parameters: Parameters, calibration: Calibration) -> None:
        self.source = graph
        converted = convert(graph, parameters)
        self.graph, self._positions = converted.graph, converted.positions
        self._runner = SampleRunner(self.graph)
        inputs = [
            store(x, self.graph.values[i].quant, self.graph.values[i].type.dtype)
            for i, x in zip(graph.inputs, calibration.inputs, strict=True)
        ]
        self._alive = Alive(self.graph, inputs)
        self._next = 0

    def real_operand(self, position: int) -> tuple[Array, QuantParams]:
        """The real numbers (N, ...) that a node's first operand stands for, and its quantization."""
        target = self._positions[position]
        self._run_until(target, None)
        index = self.graph.nodes[target].inputs[0]
        array = self._alive.operands(target)[0]
        assert index is not None
        assert array is not None
        quant = self.graph.values[index].quant
        return dequantized(array, quant), quant

    def advance(self, position: int, weights: QuantizedWeights | None) -> dict[int, Array]:
        """Run up to and with a node of the float graph, `weights` in place of its own; what it made, by value."""
        return self._run_until(self._positions[position] + 1, weights)

    def _run_until(self, end: int, weights: QuantizedWeights | None) -> dict[int, Array]:
        made: dict[int, Array] = {}
        while self._next < end:
            position, self._next = self._next, self._next + 1
            operands = self._alive.operands(position)
            if all(x is None for x in operands):
                continue

            def compute(site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
                return compute_integers(*_with_weights(site, weights, arrays))

            outputs = self._runner.compute(position, operands, compute)
            made = dict(zip(self.graph.nodes[position].outputs, outputs, strict=True))
            self._alive.put(position, outputs)
        return made


def _with_weights(
    site: Site, weights: QuantizedWeights | None, operands: Sequence[Array]
) -> tuple[Site, Sequence[Array]]:
    """The node, and its operands, with other weights and bias; kernels read biases from the node."""
    if weights is None:
        return site, operands
    inputs, arrays = list(site.inputs), list(operands)
    for position, data in ((1, weights.data), (2, weights.bias)):
        old = inputs[position] if position < len(inputs) else None
        if data is not None and old is not None:
            arrays[position] = data.astype(old.type.dtype.numpy)
            inputs[position] = constant(old.name, arrays[position], old.type)
    return replace(site, inputs=tuple(inputs)), arrays


def layer_figures(graph: Graph, parameters: Parameters, calibration: Calibration) -> Iterator[LayerFigures]:
    """The figures of every value that a node makes, in order of execution."""
    floats, runner = Alive(graph, calibration.inputs), SampleRunner(graph)
    integers = _Integers(graph, parameters, calibration)
    for position, site in enumerate(graph.sites):
        operands = floats.operands(position)
        if all(x is None for x in operands):
            continue
        outputs = runner.compute(position, operands, compute_float)
        floats.put(position, outputs)
        stored = integers.advance(position, None)
        for real, (index, integer) in zip(outputs, stored.items(), strict=True):
            value = integers.graph.values[index]
            if value.type.quant is not None:
                yield _figures(position, site, value.type.dtype, value.type.quant, real, integer)


def _figures(position: int, site: Site, dtype: DType, quant: QuantParams, real: Array, integer: Array) -> LayerFigures:
    low, high = dtype.range
    error = real.astype(np.float64) - dequantized(integer, quant)
    signal, noise = float((real.astype(np.float64) ** 2).sum()), float((error**2).sum())
    sqnr = float(10 * np.log10(signal / noise)) if noise > 0 and signal > 0 else float("inf")
    steps = real / quant.scale + quant.zero_point
    return LayerFigures(
        layer=position,
        op=site.op.name,
        name=site.output().name,
        dtype=dtype,
        scale=quant.scale,
        zero_point=quant.zero_point,
        sqnr_db=sqnr,
        used_percent=100 * (int(integer.max()) - int(integer.min()) + 1) / (high - low + 1),
        clipped_percent=float(100 * ((steps < low - 0.5) | (steps > high + 0.5)).mean()),
    )
