"""Decoders of pools over one, two or three axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from itertools import product

import numpy as np

from thimble.compiler.importers.onnx.builder import Builder, Tensor, channels_last
from thimble.compiler.importers.onnx.decode_convolution import POINT
from thimble.compiler.importers.onnx.decode_elementwise import ADD, MUL, POWER
from thimble.compiler.importers.onnx.decode_movement import take_box
from thimble.compiler.importers.onnx.decode_reduction import reduce_axes
from thimble.compiler.importers.onnx.decoding import Decoder, FileNode
from thimble.compiler.importers.onnx.layout import element_wise, scalar
from thimble.compiler.importers.onnx.padding import pad_tensor
from thimble.compiler.importers.onnx.windows import WindowAxis, padding_of, window_axes
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.abs import Abs
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.minimum_maximum import Maximum
from thimble.compiler.ops.pool_2d import AveragePool2D, MaxPool2D, Pool2D
from thimble.compiler.ops.reduce import Mean, ReduceMax

MAX_TAPS = 256
"""Positions of a dilated window, which becomes one slice each."""


def _axes(node: FileNode) -> list[WindowAxis]:
    shape, kernel = node.shape(), node.ints("kernel_shape")
    if kernel is None or len(shape) < 3:
        raise node.malformed(f"it has no kernel_shape, or an input {shape} without an axis to slide along.")
    if len(shape) > 5:
        raise node.refused("pools over more than three axes are not supported.")
    axes = window_axes(node, shape[2:], kernel)
    if any(axis.windows_in_padding for axis in axes):
        raise node.malformed("a window lies in the padding alone.")
    return axes


def _pool(builder: Builder, kind: type[Pool2D], x: Tensor, axes: Sequence[WindowAxis]) -> Tensor:
    """Pool x (N, C, spatial...): height and width at once, a third axis after them."""
    rank = len(x.order)
    images = builder.tensor(builder.ordered(x, channels_last(rank)).index)
    batch, *sizes, channels = builder.shape(images)
    depth, rows, columns = (*(POINT,) * (3 - len(axes)), *axes)
    outer = sizes[0] if rank == 5 else 1
    flat = builder.reshape(images, (batch * outer, rows.input, columns.input, channels))
    flat = _pool_images(builder, kind, flat, rows, columns)
    _, height, width, _ = builder.shape(flat)
    if rank == 5:
        deep = builder.reshape(flat, (batch, outer, height * width, channels))
        still = WindowAxis(height * width, 1, 1, 1, (0, 0))
        flat = _pool_images(builder, kind, deep, depth, still)
        sizes = [builder.shape(flat)[1], height, width]
    else:
        sizes = [height, width][-len(axes) :]
    return builder.tensor(builder.reshape(flat, (batch, *sizes, channels)).index, channels_last(rank))


def _pool_images(builder: Builder, kind: type[Pool2D], x: Tensor, rows: WindowAxis, columns: WindowAxis) -> Tensor:
    padding = padding_of(rows, columns)
    op = kind(rows.kernel, columns.kernel, rows.stride, columns.stride, padding, Activation.NONE)
    (made,) = builder.emit(op, [x.index])
    return builder.tensor(made)


def _taps(builder: Builder, x: Tensor, axes: Sequence[WindowAxis], fill: float) -> list[Tensor]:
    """For each position of the window, the elements that all windows see there; `fill` stands for the padding."""
    padded = pad_tensor(builder, x, [(0, 0), (0, 0), *(axis.all_padding for axis in axes)], "constant", fill)
    batch, channels = builder.shape(x)[:2]
    taps = []
    for place in product(*(range(axis.kernel) for axis in axes)):
        spans = [(tap * a.dilation, a.output, a.stride) for tap, a in zip(place, axes, strict=True)]
        taps.append(take_box(builder, padded, [(0, batch, 1), (0, channels, 1), *spans]))
    return taps


def _is_dilated(node: FileNode, axes: Sequence[WindowAxis]) -> bool:
    dilated = any(axis.dilation > 1 and axis.kernel > 1 for axis in axes)
    if dilated and np.prod([axis.kernel for axis in axes], dtype=np.float64) > MAX_TAPS:
        raise node.refused(f"a dilated window of more than {MAX_TAPS} elements is not supported.")
    return dilated


def _max_pool(node: FileNode) -> Sequence[Tensor]:
    if node.output_count > 1:
        raise node.refused("the positions of the maxima are not supported.")
    axes = _axes(node)
    if not _is_dilated(node, axes):
        return [_pool(node.builder, MaxPool2D, node.input(), axes)]
    dtype = node.dtype()
    lowest = -np.inf if dtype is DType.FLOAT32 else dtype.range[0]
    taps = _taps(node.builder, node.input(), axes, lowest)
    return [reduce(lambda a, b: element_wise(node.builder, Maximum(), [a, b]), taps)]


def _average_pool(node: FileNode) -> Sequence[Tensor]:
    b, axes, x = node.builder, _axes(node), node.input()
    if node.integer("count_include_pad", 0):
        x = pad_tensor(b, x, [(0, 0), (0, 0), *(axis.pads for axis in axes)], "constant")
        axes = [replace(axis, input=axis.input + sum(axis.pads), pads=(0, 0)) for axis in axes]
    if not _is_dilated(node, axes):
        return [_pool(b, AveragePool2D, x, axes)]
    total = reduce(lambda p, q: element_wise(b, ADD, [p, q]), _taps(b, x, axes, 0.0))
    return [element_wise(b, MUL, [total, b.constant(_reciprocal_counts(axes))])]


def _reciprocal_counts(axes: Sequence[WindowAxis]) -> Array:
    """1 / the number of elements that each window sees inside of the input: (1, 1, spatial...)."""
    counts = np.ones((), np.float64)
    for axis in axes:
        places = np.arange(axis.output)[:, None] * axis.stride - axis.pads[0] + np.arange(axis.kernel) * axis.dilation
        inside = ((places >= 0) & (places < axis.input)).sum(axis=1)
        counts = counts[..., None] * inside
    return (1 / counts).astype(np.float32)[None, None]


def _lp_pool(node: FileNode) -> Sequence[Tensor]:
    """The p-th root of the sum of |x|^p over a window."""
    b, axes, x = node.builder, _axes(node), node.input()
    power = node.integer("p", 2)
    if power < 1:
        raise node.malformed(f"its p is {power}; it must be 1 or more.")
    if _is_dilated(node, axes):
        powered = _powered(b, x, power)
        total = reduce(lambda p, q: element_wise(b, ADD, [p, q]), _taps(b, powered, axes, 0.0))
    else:
        pads = [(0, 0), (0, 0), *(axis.all_padding for axis in axes)]
        padded = pad_tensor(b, _powered(b, x, power), pads, "constant")
        inside = [replace(a, input=a.input + sum(a.all_padding), pads=(0, 0), ceiling=0) for a in axes]
        mean = _pool(b, AveragePool2D, padded, inside)
        total = element_wise(b, MUL, [mean, scalar(b, float(np.prod([a.kernel for a in axes])), mean)])
    return [element_wise(b, POWER, [total, scalar(b, 1 / power, total)])]


def _powered(b: Builder, x: Tensor, power: int) -> Tensor:
    return element_wise(b, POWER, [element_wise(b, Abs(), [x]), scalar(b, power, x)])


def _global(kind: type[Mean] | type[ReduceMax]) -> Decoder:
    def decode(node: FileNode) -> Sequence[Tensor]:
        rank = len(node.shape())
        if rank < 3:
            raise node.malformed("its input has no axis to reduce.")
        x = node.builder.ordered(node.input(), channels_last(rank))
        return [reduce_axes(node.builder, kind, x, range(2, rank), True)]

    return decode


DECODERS: dict[str, Decoder] = {
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global(Mean),
    "GlobalMaxPool": _global(ReduceMax),
    "LpPool": _lp_pool,
    "MaxPool": _max_pool,
}
