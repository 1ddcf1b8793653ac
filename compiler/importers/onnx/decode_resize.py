"""Decoders of Resize and Upsample: TFLite's operators where they give the same, else a matrix along each axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thimble.compiler.importers.onnx.builder import Builder, Tensor, channels_last
from thimble.compiler.importers.onnx.decode_reduction import axis_last
from thimble.compiler.importers.onnx.decoding import Decoder, FileNode
from thimble.compiler.importers.onnx.layout import pick
from thimble.compiler.importers.onnx.resampling import COORDINATE_MODES, Resampling, nearest, weights
from thimble.compiler.importers.onnx.tensors import checked_shape
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.cast import Cast
from thimble.compiler.ops.fully_connected import FullyConnected
from thimble.compiler.ops.resize import Resize, ResizeBilinear, ResizeNearestNeighbor

MAX_MATRIX = 1 << 22
"""Elements of the matrix that resizes an axis."""

MAX_OUTPUT = 1 << 13
"""Elements along an axis that is resized in mode linear or cubic."""

_FLAGS = ((False, True), (False, False), (True, False))
"""(align_corners, half_pixel_centers) of TFLite's operators."""


def _optional_constant(node: FileNode, index: int, what: str) -> Array | None:
    if node.optional(index) is None:
        return None
    array = node.constant(index, what).reshape(-1)
    return array if array.size else None


def _axes(node: FileNode) -> list[Resampling]:
    """How each dimension of the input is resized."""
    shape = node.shape()
    mode = node.text("coordinate_transformation_mode", "half_pixel" if node.opset > 10 else "asymmetric")
    if mode not in COORDINATE_MODES:
        raise node.refused("its coordinate transformation is not supported.")
    axes = [node.axis(a, len(shape)) for a in node.ints("axes") or range(len(shape))]
    first = 1 if node.opset < 11 else 2
    scales = _optional_constant(node, first, "scales")
    sizes = _optional_constant(node, 3, "sizes") if node.opset > 10 else None
    roi = _optional_constant(node, 1, "region of interest") if mode == "tf_crop_and_resize" else None
    given = [array for array in (scales, sizes) if array is not None]
    if len(given) != 1 or len(given[0]) != len(axes):
        raise node.malformed("it needs a scale or a size for each of its axes.")
    if roi is not None and len(roi) != 2 * len(axes):
        raise node.malformed("its region of interest needs a start and an end for each of its axes.")
    result = [Resampling(dim, dim, 1.0, "asymmetric") for dim in shape]
    for i, axis in enumerate(axes):
        size, scale = _sized(shape[axis], sizes[i]) if sizes is not None else _scaled(node, shape[axis], given[0][i])
        region = (0.0, 1.0) if roi is None else (float(roi[i]), float(roi[i + len(axes)]))
        result[axis] = Resampling(shape[axis], size, scale, mode, region)
    if sizes is not None and node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        result = _keeping_aspect(node, result, axes)
    checked_shape(tuple(axis.output for axis in result), 8, node.source)
    if 0 in shape or any(axis.output < 1 for axis in result):
        raise node.malformed(f"it resizes {shape} to nothing.")
    return result


def _scaled(node: FileNode, input_size: int, scale: float) -> tuple[int, float]:
    """Output size and scale of an axis of which the model gives the scale."""
    if not 0 < float(scale) < 1 << 20:
        raise node.malformed(f"its scale {float(scale)} is out of range.")
    return int(np.floor(input_size * float(scale))), float(scale)


def _sized(input_size: int, size: int) -> tuple[int, float]:
    """The same of an axis of which the model gives the size."""
    return int(size), int(size) / max(input_size, 1)


def _keeping_aspect(node: FileNode, result: list[Resampling], axes: Sequence[int]) -> list[Resampling]:
    choose = {"not_larger": min, "not_smaller": max}.get(node.text("keep_aspect_ratio_policy", "stretch"))
    if choose is None:
        raise node.malformed("its keep_aspect_ratio_policy does not exist.")
    scale = choose(result[axis].scale for axis in axes)
    for axis in axes:
        old = result[axis]
        size = int(np.floor(old.input * scale + 0.5))
        result[axis] = Resampling(old.input, size, scale, old.coordinates, old.roi)
    return result


def _resize(node: FileNode) -> Sequence[Tensor]:
    b, axes, x, mode = node.builder, _axes(node), node.input(), node.text("mode", "nearest")
    if mode not in ("nearest", "linear", "cubic"):
        raise node.malformed("its mode does not exist.")
    changing = [i for i, axis in enumerate(axes) if axis.changes]
    if any(axes[i].coordinates == "tf_crop_and_resize" for i in changing):
        return [_cropped(node, x, axes, mode)]
    tables = {i: _table(node, axes[i], mode) for i in changing}
    if len(axes) == 4 and changing and set(changing) <= {2, 3}:
        op = _tflite_operator(axes[2], axes[3], tables)
        if op is not None:
            (made,) = b.emit(op, [b.ordered(x, channels_last(4)).index])
            return [b.tensor(made, channels_last(4))]
    for axis, table in tables.items():
        x = pick(b, x, axis, table) if table.ndim == 1 else _mixed(b, x, axis, table)
    return [x]


def _table(node: FileNode, axis: Resampling, mode: str) -> Array:
    """Positions (output,) of an axis in mode nearest, or its matrix (output, input)."""
    if mode == "nearest":
        rounding = node.text("nearest_mode", "round_prefer_floor" if node.opset > 10 else "floor")
        if rounding not in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
            raise node.malformed("its nearest_mode does not exist.")
        return nearest(axis, rounding)
    if axis.input * axis.output > MAX_MATRIX or axis.output > MAX_OUTPUT:
        raise node.refused(f"resizing {axis.input} elements to {axis.output} is not supported.")
    cubic = node.number("cubic_coeff_a", -0.75)
    outside, antialias = bool(node.integer("exclude_outside", 0)), bool(node.integer("antialias", 0))
    return weights(axis, mode, cubic, outside, antialias)


def _tflite_operator(rows: Resampling, columns: Resampling, tables: dict[int, Array]) -> Resize | None:
    """TFLite's operator that takes the very same positions or weights along both axes, if there is one."""
    wanted = {axis: tables[i] for i, axis in ((2, rows), (3, columns)) if i in tables}
    for corners, centers in _FLAGS:
        kind = ResizeNearestNeighbor if next(iter(wanted.values())).ndim == 1 else ResizeBilinear
        op = kind(rows.output, columns.output, corners, centers)
        if all(_same_table(op, axis, table) for axis, table in wanted.items()):
            return op
    return None


def _same_table(op: Resize, axis: Resampling, table: Array) -> bool:
    if isinstance(op, ResizeNearestNeighbor):
        return bool((op.positions(axis.input, axis.output) == table).all())
    assert isinstance(op, ResizeBilinear)
    matrix = op.interpolate_real(np.eye(axis.input), axis.input, axis.output, axis=0)
    return bool(np.abs(matrix - table).max() < 1e-5)


def _mixed(b: Builder, x: Tensor, axis: int, matrix: Array) -> Tensor:
    """Each element along `axis` becomes a sum of its neighbours, as the rows of `matrix` say."""
    dtype = b.dtype(x)
    last = axis_last(b, x, axis)
    real = last.index if dtype is DType.FLOAT32 else b.emit(Cast(), [last.index], DType.FLOAT32)[0]
    (made,) = b.emit(FullyConnected(Activation.NONE, True), [real, b.constant(matrix.astype(np.float32)).index])
    made = made if dtype is DType.FLOAT32 else b.emit(Cast(), [made], dtype)[0]
    return b.tensor(made, last.order)


def _cropped(node: FileNode, x: Tensor, axes: Sequence[Resampling], mode: str) -> Tensor:
    """tf_crop_and_resize: where a position lies outside of the input, the output is the extrapolation value."""
    b, value = node.builder, node.number("extrapolation_value", 0.0)
    for i, axis in enumerate(axes):
        if not axis.changes:
            continue
        places = axis.positions()
        if ((places < 0) | (places > axis.input - 1)).any() and value != 0:
            raise node.refused("extrapolation with another value than 0 is not supported.")
        matrix = _table(node, axis, mode)
        matrix = np.eye(axis.input)[matrix] if matrix.ndim == 1 else matrix
        x = _mixed(b, x, i, np.where(((places < 0) | (places > axis.input - 1))[:, None], 0, matrix))
    return x


DECODERS: dict[str, Decoder] = {"Resize": _resize, "Upsample": _resize}
