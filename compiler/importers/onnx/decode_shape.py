"""Decoders of what is known at compile time: shapes, constants, ranges; and conversions between types."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto

from thimble.compiler.importers.onnx.builder import Tensor
from thimble.compiler.importers.onnx.decoding import MAX_LIST, Decoder, FileNode
from thimble.compiler.importers.onnx.layout import element_wise
from thimble.compiler.importers.onnx.tensors import NARROW_INTEGERS, ROUNDED_FLOATS, checked_shape, dtype_of
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.cast import Cast
from thimble.compiler.ops.select import Select


def _constant(node: FileNode) -> Sequence[Tensor]:
    given = node.tensor("value")
    if given is None and node.has("value_int"):
        given = np.asarray(node.integer("value_int", 0), np.int64)
    elif given is None and node.has("value_float"):
        given = np.asarray(node.number("value_float", 0), np.float32)
    elif given is None and node.has("value_ints"):
        given = np.asarray(node.ints("value_ints"), np.int64)
    elif given is None and node.has("value_floats"):
        given = np.asarray(node.floats("value_floats"), np.float32)
    if given is None:
        raise node.refused("sparse and text constants are not supported.")
    return [node.builder.constant(given)]


def _shape(node: FileNode) -> Sequence[Tensor]:
    shape = node.shape()
    part = shape[node.integer("start", 0) : node.integer("end", len(shape))]
    return [node.builder.constant(np.asarray(part, np.int64))]


def _size(node: FileNode) -> Sequence[Tensor]:
    return [node.builder.constant(np.asarray(np.prod(node.shape(), dtype=np.int64)))]


def _constant_of_shape(node: FileNode) -> Sequence[Tensor]:
    shape = checked_shape(node.integers(0, "shape"), 8, node.source)
    value = node.tensor("value")
    if value is None:
        value = np.zeros(1, np.float32)
    if value.size != 1:
        raise node.malformed("its value must be one element.")
    return [node.builder.constant(np.full(shape, value.reshape(-1)[0], value.dtype))]


def _range(node: FileNode) -> Sequence[Tensor]:
    start, limit, delta = (node.constant(i, what).reshape(-1)[:1] for i, what in enumerate(("start", "limit", "step")))
    if any(array.size != 1 for array in (start, limit, delta)) or not delta[0]:
        raise node.malformed("its start, limit and step must be numbers, and the step not 0.")
    steps = (float(limit[0]) - float(start[0])) / float(delta[0])
    if not steps < 1 << 24:
        raise node.malformed("it makes too many elements, or no number of them.")
    count = max(int(np.ceil(steps)), 0)
    return [node.builder.constant((start + np.arange(count) * delta).astype(start.dtype))]


def _cast(node: FileNode) -> Sequence[Tensor]:
    code = node.integer("to", TensorProto.UNDEFINED)
    dtype = dtype_of(code, f"{node.source}: the result")
    _refuse_narrow(node, code)
    return _cast_to(node, dtype)


def _refuse_narrow(node: FileNode, code: int | None) -> None:
    """Thimble computes in wider types, so that what a narrow one would round or cut stays."""
    if code in ROUNDED_FLOATS:
        raise node.refused("rounding to 16-bit floats is not supported; export the model in float32.")
    if code in NARROW_INTEGERS:
        raise node.refused("a conversion to integers of fewer than 8 bits is not supported.")


def _cast_to(node: FileNode, dtype: DType) -> Sequence[Tensor]:
    x = node.input()
    if node.dtype() is dtype:
        return [x]
    (made,) = node.builder.emit(Cast(), [x.index], dtype)
    return [node.builder.tensor(made, x.order)]


def _cast_like(node: FileNode) -> Sequence[Tensor]:
    _refuse_narrow(node, node.builder.narrow.get(node.input(1).index))
    return _cast_to(node, node.dtype(1))


def _eye_like(node: FileNode) -> Sequence[Tensor]:
    shape = node.shape()
    if len(shape) != 2:
        raise node.malformed("its input is no matrix.")
    dtype = dtype_of(node.integer("dtype", 0), node.source) if node.has("dtype") else node.dtype()
    diagonal = max(min(node.integer("k", 0), shape[1]), -shape[0])
    return [node.builder.constant(np.eye(*shape, k=diagonal, dtype=dtype.numpy))]


def _triangle(node: FileNode) -> Sequence[Tensor]:
    """The part of each matrix on one side of a diagonal, 0 on the other."""
    b, shape = node.builder, node.shape()
    if len(shape) < 2:
        raise node.malformed("its input is no matrix.")
    diagonal = int(node.constant(1, "diagonal").reshape(-1)[0]) if node.optional(1) is not None else 0
    diagonal = max(min(diagonal, shape[-1] + 1), -shape[-2] - 1)
    ones = np.ones(shape[-2:], np.bool_)
    kept = np.triu(ones, diagonal) if node.integer("upper", 1) else np.tril(ones, diagonal)
    zero = b.constant(np.zeros((), node.dtype().numpy))
    return [element_wise(b, Select(), [b.constant(kept), node.input(), zero], node.dtype())]


def _non_zero(node: FileNode) -> Sequence[Tensor]:
    array = node.constant(0, "tensor").reshape(node.shape() or (1,))
    if array.size > MAX_LIST:
        raise node.refused(f"it searches more than {MAX_LIST} elements.")
    return [node.builder.constant(np.asarray(np.nonzero(array), np.int64))]


DECODERS: dict[str, Decoder] = {
    "Cast": _cast,
    "CastLike": _cast_like,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "EyeLike": _eye_like,
    "NonZero": _non_zero,
    "Range": _range,
    "Shape": _shape,
    "Size": _size,
    "Trilu": _triangle,
}
