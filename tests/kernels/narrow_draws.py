"""Drawn layers with weights or activations of 4 or 2 bits in place of int8."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np

from tests.kernels.convolution_draws import Rng
from thimble.compiler.exporters.tflite import export_tflite
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.graph import Value
from thimble.compiler.ir.types import DType, QuantParams
from thimble.quantize.narrow import narrow, narrow_weights


def one_of(*draws: tuple[float, Callable[[Rng], bytes]]) -> Callable[[Rng], bytes]:
    """One of some draws, each with its share."""

    def drawn(rng: Rng) -> bytes:
        chosen = rng.choice(len(draws), p=[share for share, _ in draws])
        return draws[int(chosen)][1](rng)

    return drawn


def with_narrow_weights(draw: Callable[[Rng], bytes]) -> Callable[[Rng], bytes]:
    """A layer of int8 activations with weights of 4 or 2 bits."""

    def drawn(rng: Rng) -> bytes:
        graph = import_tflite(draw(rng), "int8")
        weights = narrow_weights(graph.sites[0], (DType.INT4, DType.INT2)[int(rng.integers(2))])
        return export_tflite(narrow(graph, {0: weights}, {}).graph)

    return drawn


_WIDTHS = (DType.INT8, DType.INT4, DType.INT2)


def packed(
    draw: Callable[[Rng], bytes], narrow_weights_too: bool = False, alike: bool = False
) -> Callable[[Rng], bytes]:
    """A layer whose input, output or both have 4 or 2 bits, straight at the model's interface.

    `alike`: both have the same type, scale and zero point, as a pool's.
    """

    def drawn(rng: Rng) -> bytes:
        graph = import_tflite(draw(rng), "int8")
        if narrow_weights_too and rng.random() < 0.5:
            weights = narrow_weights(graph.sites[0], (DType.INT4, DType.INT2)[int(rng.integers(2))])
            graph = narrow(graph, {0: weights}, {}).graph
        ends = (*graph.inputs, *graph.outputs)
        packed = [types for types in product(_WIDTHS, repeat=len(ends)) if set(types) != {DType.INT8}]
        packed = [types for types in packed if not alike or len(set(types)) == 1]
        chosen = packed[int(rng.integers(len(packed)))]
        values = list(graph.values)
        for index, dtype in zip(ends, chosen, strict=True):
            quant = narrower(values[index].quant, dtype, rng) if dtype.is_packed else values[index].quant
            quant = values[ends[0]].type.quant if alike and index != ends[0] else quant
            values[index] = replace(values[index], type=replace(values[index].type, dtype=dtype, quant=quant))
        (node,) = graph.nodes
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        if bias is not None:
            values[bias] = _at_scale(values[bias], values[graph.inputs[0]], values[node.inputs[1] or 0])
        return export_tflite(replace(graph, values=tuple(values)))

    return drawn


def _at_scale(bias: Value, x: Value, w: Value) -> Value:
    """A bias at the scale of the input times that of the weights."""
    scales = tuple(float(np.float32(x.type.quant.scale) * np.float32(scale)) for scale in w.type.quant.scales)
    return replace(bias, type=replace(bias.type, quant=QuantParams(scales, (0,) * len(scales))))


def narrower(quant: QuantParams, dtype: DType, rng: Rng) -> QuantParams:
    """About the same range on fewer levels."""
    low, high = dtype.range
    scale = np.float32(quant.scale * 256 / (high - low + 1) * rng.uniform(0.5, 1))
    return QuantParams((float(scale),), (int(rng.integers(low, high + 1)),))
