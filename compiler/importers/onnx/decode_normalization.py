"""Decoders of normalizations, as the arithmetic that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from thimble.compiler.importers.onnx.builder import Builder, Tensor
from thimble.compiler.importers.onnx.decode_elementwise import ADD, MUL, POWER, SUB, divide
from thimble.compiler.importers.onnx.decode_reduction import l2, reduce_axes
from thimble.compiler.importers.onnx.decoding import Decoder, FileNode
from thimble.compiler.importers.onnx.layout import element_wise, scalar
from thimble.compiler.importers.onnx.padding import pad_tensor
from thimble.compiler.ops.abs import Abs
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.elementary import Elementary, Function
from thimble.compiler.ops.minimum_maximum import Maximum
from thimble.compiler.ops.pool_2d import AveragePool2D
from thimble.compiler.ops.reduce import Mean, Sum
from thimble.compiler.ops.rsqrt import Rsqrt
from thimble.compiler.ops.window import Padding


def _per_channel(node: FileNode, index: int) -> Tensor:
    """Input `index`, (C,), as (C, 1, ...): one number for each channel of input 0."""
    channels, rank = node.shape()[1], len(node.shape())
    if node.shape(index) != (channels,):
        raise node.malformed(f"input {index} has shape {node.shape(index)}; it must be ({channels},).")
    return node.builder.reshape(node.input(index), (channels, *(1,) * (rank - 2)))


def _batch_normalization(node: FileNode) -> Sequence[Tensor]:
    b = node.builder
    if node.integer("training_mode", 0) or node.output_count > 1 or len(node.shape()) < 2:
        raise node.refused("it is in training mode; export the model for inference.")
    scale, bias, mean, variance = (_per_channel(node, i) for i in range(1, 5))
    epsilon = scalar(b, node.number("epsilon", 1e-5), variance)
    factor = element_wise(b, MUL, [scale, element_wise(b, Rsqrt(), [element_wise(b, ADD, [variance, epsilon])])])
    shift = element_wise(b, SUB, [bias, element_wise(b, MUL, [mean, factor])])
    return [element_wise(b, ADD, [element_wise(b, MUL, [node.input(), factor]), shift])]


def normalized(b: Builder, x: Tensor, axes: Sequence[int], epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """(x - mean) / sqrt(variance + epsilon) over `axes`, with the mean and the reciprocal of that root."""
    mean = reduce_axes(b, Mean, x, axes, True)
    centred = element_wise(b, SUB, [x, mean])
    variance = reduce_axes(b, Mean, element_wise(b, MUL, [centred, centred]), axes, True)
    root = element_wise(b, Rsqrt(), [element_wise(b, ADD, [variance, scalar(b, epsilon, variance)])])
    return element_wise(b, MUL, [centred, root]), mean, root


def _scaled(b: Builder, x: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
    x = element_wise(b, MUL, [x, scale])
    return x if bias is None else element_wise(b, ADD, [x, bias])


def _instance_normalization(node: FileNode) -> Sequence[Tensor]:
    b, rank = node.builder, len(node.shape())
    if rank < 3:
        raise node.malformed("its input has no axis to normalize along.")
    x, _, _ = normalized(b, node.input(), range(2, rank), node.number("epsilon", 1e-5))
    return [_scaled(b, x, _per_channel(node, 1), _per_channel(node, 2))]


def _group_normalization(node: FileNode) -> Sequence[Tensor]:
    b, shape = node.builder, node.shape()
    groups = node.integer("num_groups", 0)
    if len(shape) < 3 or groups < 1 or shape[1] % groups:
        raise node.malformed(f"it makes {groups} groups of the channels of {shape}.")
    parts = b.reshape(node.input(), (shape[0], groups, shape[1] // groups * prod(shape[2:])))
    made, _, _ = normalized(b, parts, (2,), node.number("epsilon", 1e-5))
    if node.opset < 21:
        each = (1, groups, 1)
        scaled = _scaled(b, made, b.reshape(node.input(1), each), b.reshape(node.input(2), each))
        return [b.reshape(scaled, shape)]
    return [_scaled(b, b.reshape(made, shape), _per_channel(node, 1), _per_channel(node, 2))]


def _inner_axes(node: FileNode) -> range:
    rank = len(node.shape())
    return range(node.axis(node.integer("axis", -1), rank), rank)


def _layer_normalization(node: FileNode) -> Sequence[Tensor]:
    b = node.builder
    made = normalized(b, node.input(), _inner_axes(node), node.number("epsilon", 1e-5))
    return [_scaled(b, made[0], node.input(1), node.optional(2)), *made[1:]]


def _rms_normalization(node: FileNode) -> Sequence[Tensor]:
    b, x = node.builder, node.input()
    mean = reduce_axes(b, Mean, element_wise(b, MUL, [x, x]), _inner_axes(node), True)
    shifted = element_wise(b, ADD, [mean, scalar(b, node.number("epsilon", 1e-5), mean)])
    return [_scaled(b, element_wise(b, MUL, [x, element_wise(b, Rsqrt(), [shifted])]), node.input(1), None)]


def _mean_variance(node: FileNode) -> Sequence[Tensor]:
    b, rank = node.builder, len(node.shape())
    axes = [node.axis(axis, rank) for axis in node.ints("axes") or (0, 2, 3)]
    x = node.input()
    centred = element_wise(b, SUB, [x, reduce_axes(b, Mean, x, axes, True)])
    variance = reduce_axes(b, Mean, element_wise(b, MUL, [centred, centred]), axes, True)
    root = element_wise(b, Elementary(Function.SQRT), [variance])
    return [divide(b, centred, element_wise(b, ADD, [root, scalar(b, 1e-9, root)]))]


def _lp_normalization(node: FileNode) -> Sequence[Tensor]:
    """x divided by its norm along an axis; 0 where the norm is."""
    b, x, rank = node.builder, node.input(), len(node.shape())
    axis, power = node.axis(node.integer("axis", -1), rank), node.integer("p", 2)
    if power not in (1, 2):
        raise node.malformed(f"its p is {power}; it must be 1 or 2.")
    norm = l2(b, x, [axis], True) if power == 2 else reduce_axes(b, Sum, element_wise(b, Abs(), [x]), [axis], True)
    tiny = scalar(b, float(np.finfo(np.float32).tiny), norm)
    return [divide(b, x, element_wise(b, Maximum(), [norm, tiny]))]


def _local_response(node: FileNode) -> Sequence[Tensor]:
    """x / (bias + alpha / size * sum of squares of neighbouring channels) ** beta."""
    b, x, shape = node.builder, node.input(), node.shape()
    size = node.integer("size", 0)
    if len(shape) < 3 or not 0 < size <= 1 << 16:
        raise node.malformed(f"it normalizes {shape} over {size} channels.")
    square = element_wise(b, MUL, [x, x])
    rows = b.reshape(square, (shape[0], shape[1], prod(shape[2:]), 1))
    padded = pad_tensor(b, rows, [(0, 0), ((size - 1) // 2, size // 2), (0, 0), (0, 0)], "constant")
    pool = AveragePool2D(size, 1, 1, 1, Padding.VALID, Activation.NONE)
    mean = b.reshape(b.apply(pool, [padded]), shape)
    scaled = element_wise(b, MUL, [mean, scalar(b, node.number("alpha", 1e-4), mean)])
    base = element_wise(b, ADD, [scaled, scalar(b, node.number("bias", 1.0), scaled)])
    return [element_wise(b, MUL, [x, element_wise(b, POWER, [base, scalar(b, -node.number("beta", 0.75), base)])])]


DECODERS: dict[str, Decoder] = {
    "BatchNormalization": _batch_normalization,
    "GroupNormalization": _group_normalization,
    "InstanceNormalization": _instance_normalization,
    "LRN": _local_response,
    "LayerNormalization": _layer_normalization,
    "LpNormalization": _lp_normalization,
    "MeanVarianceNormalization": _mean_variance,
    "RMSNormalization": _rms_normalization,
}
