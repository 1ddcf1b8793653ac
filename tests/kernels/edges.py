"""Random layers at the edges of what is proved of them: sums near powers of two, all shifts, extreme weights, depth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tests.kernels.convolution_draws import Rng, pointwise
from tests.kernels.draws import DRAWS
from tests.ops.draws import activation_code, bias_for, weights, zero_point
from tests.tflite_builder import ModelBuilder
from thimble.compiler.exporters.tflite import export_tflite
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.graph import Node, Value
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import QuantParams

BITS = (7, 14, 15, 16, 22, 23, 24, 25, 28, 29, 30, 31)
"""Sums reach up to 2**bits, or one less or more: 15, 16, 23 to 25, 30 and 31 bits are what kernels prove."""

DEPTHS = (1020, 2048, 4096, 4101, 8192, 9000)


def at_edges(draw: Callable[[Rng], bytes], *channel_axes: int) -> Callable[[Rng], bytes]:
    """A drawn layer, or several one behind the other, with other numbers: zero points, weights, biases, multipliers.

    Shapes stay. `channel_axes`: of the output channels in each layer's weights.
    """

    def drawn(rng: Rng) -> bytes:
        graph = import_tflite(draw(rng), "layer")
        values = list(graph.values)
        (x,) = graph.inputs
        zero = int(rng.choice([-128, 127, 0, values[x].quant.zero_point]))
        values[x] = _with(values[x], QuantParams((1.0,), (zero,)), None)
        for node, axis in zip(graph.nodes, channel_axes, strict=True):
            _fill(rng, values, node, axis)
        return export_tflite(replace(graph, values=tuple(values)))

    return drawn


def _fill(rng: Rng, values: list[Value], node: Node, channel_axis: int) -> None:
    """Give a layer, whose input has its quantization, others of what it holds, and its output another one."""
    x, w, b = (index for index in node.inputs if index is not None)
    given, zero = values[x].quant.scale, values[x].quant.zero_point
    levels = _levels(rng, np.moveaxis(values[w].constant, channel_axis, 0).shape)
    magnitudes = np.abs(levels.reshape(len(levels), -1).astype(np.int64)).sum(axis=1)
    reach = magnitudes * max(127 - zero, zero + 128)
    bias = _biases(rng, reach)
    unit = given * float(np.exp2(-rng.integers(0, 6)))
    factors = _factors(rng, reach + np.abs(bias), values[w].quant.per_tensor)
    quant = replace(values[w].quant, scales=tuple(unit / given * factor for factor in factors))
    values[w] = _with(values[w], quant, np.moveaxis(levels, 0, channel_axis))
    at_bias = replace(quant, scales=tuple(given * scale for scale in quant.scales), axis=0)
    values[b] = _with(values[b], at_bias, bias.astype(np.int32))
    values[node.outputs[0]] = _with(values[node.outputs[0]], QuantParams((unit,), (zero_point(rng),)), None)


def _with(value: Value, quant: QuantParams, data: Array | None) -> Value:
    return replace(value, type=replace(value.type, quant=quant), data=data)


def _levels(rng: Rng, shape: tuple[int, ...]) -> Array:
    """int8 weights (channels, ...): of one extreme, of both, a few among zeros, or any; each channel its own kind."""
    kinds = (
        lambda n: np.full(n, -128),
        lambda n: np.full(n, 127),
        lambda n: rng.choice([-128, 127], n),
        lambda n: np.where(rng.random(n) < 0.05, -128, 0),
        lambda n: np.zeros(n),
        lambda n: rng.integers(-1, 2, n),
        lambda n: rng.integers(-127, 128, n),
        lambda n: rng.integers(-128, 128, n),
    )
    chosen = rng.choice(len(kinds), int(rng.integers(1, 4)))
    return np.stack([kinds[int(rng.choice(chosen))](shape[1:]) for _ in range(shape[0])]).astype(np.int8)


def _biases(rng: Rng, reach: Array) -> Array:
    """Biases with which the largest sum of each channel is a power of two, or one beside it; some are small."""
    limits = (1 << rng.choice(BITS, len(reach) if rng.random() < 0.5 else 1)) + rng.integers(-1, 2, len(reach))
    room = np.clip(np.minimum(limits, (1 << 31) - 1) - reach, 0, None)
    small = rng.integers(-5000, 5000, len(reach))
    signed = np.where(rng.random(len(reach)) < 0.5, room, -room)
    return np.asarray(np.where(rng.random(len(reach)) < 0.2, small, signed))


def _factors(rng: Rng, largest: Array, alike: bool) -> tuple[float, ...]:
    """Multipliers: most bring the largest sums near int8, some lie anywhere between 2**-34 and 2**29, or are 0.5."""
    spread = np.exp2(rng.uniform(4, 12, len(largest))) / np.maximum(largest, 1)
    kinds = (spread, np.exp2(rng.uniform(-34, 29, len(largest))), np.exp2(rng.integers(-31, 29, len(largest))))
    kind = rng.choice(3, len(largest), p=(0.8, 0.1, 0.1)) if rng.random() < 0.5 else np.zeros(len(largest), np.int64)
    factors = np.float32(np.choose(kind, kinds))
    return tuple(map(float, factors[:1] if alike else factors))


def deep_fully_connected(rng: Rng) -> bytes:
    """Matrix product of thousands of inputs."""
    return _deep(rng, "FULLY_CONNECTED", (int(rng.choice(DEPTHS)),), (int(rng.integers(1, 7)),))


def deep_conv_2d(rng: Rng) -> bytes:
    """Convolution with thousands of taps: pointwise, or 3x3 over hundreds of channels."""
    kernel = int(rng.choice([1, 3]))
    depth = int(rng.choice(DEPTHS)) // kernel**2
    return _deep(rng, "CONV_2D", (kernel, kernel, depth), (1, kernel + 1, kernel + int(rng.integers(0, 3))))


def _deep(rng: Rng, operator: str, taps: tuple[int, ...], sizes: tuple[int, ...]) -> bytes:
    m = ModelBuilder()
    channels = int(rng.integers(2, 6))
    x = m.tensor((*sizes, taps[-1]), np.int8, 0.1, zero_point(rng))
    w, scales = weights(m, rng, (channels, *taps), axis=0)
    b = bias_for(m, rng, 0.1 * scales, channels)
    is_conv = operator == "CONV_2D"
    shape = (1, *(size - kernel + 1 for size, kernel in zip(sizes[1:], taps, strict=False))) if is_conv else sizes
    y = m.tensor((*shape, channels), np.int8, 1.0, zero_point(rng))
    window = {"strideH": 1, "strideW": 1, "padding": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    options, fields = ("Conv2DOptions", window) if is_conv else ("FullyConnectedOptions", {})
    m.op(operator, [x, w, b], [y], options, fusedActivationFunction=activation_code(rng), **fields)
    m.interface([x], [y])
    return m.build()


EDGES: dict[str, Callable[[Rng], bytes]] = {
    "conv_2d": at_edges(DRAWS["conv_2d"], 0),
    "conv_2d_3x3": at_edges(DRAWS["conv_2d_3x3"], 0),
    "deep_conv_2d": at_edges(deep_conv_2d, 0),
    "deep_fully_connected": at_edges(deep_fully_connected, 0),
    "depthwise_conv_2d": at_edges(DRAWS["depthwise_conv_2d"], 3),
    "first_conv_2d": at_edges(DRAWS["first_conv_2d"], 0),
    "fully_connected": at_edges(DRAWS["fully_connected"], 0),
    "pointwise": at_edges(pointwise, 0),
}
"""By the name of the draw."""

FUSED_EDGES = {"conv_2d_depthwise": at_edges(DRAWS["conv_2d_depthwise"], 0, 3)}
"""Two convolutions at the edges, of which one in forty is taken."""
