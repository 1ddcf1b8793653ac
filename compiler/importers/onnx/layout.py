"""Operands of one node brought to one order of dimensions, with as few transposes as possible."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thimble.compiler.importers.onnx.builder import Builder, Order, Tensor
from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.operator import Array, Operator
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.gather import Gather


def common_order(builder: Builder, tensors: Sequence[Tensor], rank: int) -> Order:
    """The order of the first computed tensor of `rank` that is not stored in its own, or (0, 1, ...)."""
    own = tuple(range(rank))
    candidates = [t.order for t in tensors if len(t.order) == rank and t.order != own and not builder.is_constant(t)]
    return candidates[0] if candidates else own


def align(builder: Builder, tensors: Sequence[Tensor]) -> tuple[list[int], Order]:
    """Operands that broadcast to each other as stored values in one order."""
    rank = max(len(t.order) for t in tensors)
    order = common_order(builder, tensors, rank)
    own = order == tuple(range(rank))
    indices = []
    for tensor in tensors:
        shape = builder.shape(tensor)
        if not own and builder.value(tensor).type.elements > 1:
            tensor = builder.reshape(tensor, (1,) * (rank - len(shape)) + shape)
        short = len(tensor.order) < rank
        indices.append((builder.plain(tensor) if short else builder.ordered(tensor, order)).index)
    return indices, order


def element_wise(builder: Builder, op: Operator, tensors: Sequence[Tensor], dtype: DType | None = None) -> Tensor:
    """An operator whose operands broadcast to each other, in whatever order they are stored."""
    indices, order = align(builder, tensors)
    (result,) = builder.emit(op, indices, dtype)
    return builder.tensor(result, order)


def scalar(builder: Builder, value: float, like: Tensor) -> Tensor:
    """A constant of one number in the type of another tensor."""
    dtype = builder.dtype(like)
    low, high = (-np.inf, np.inf) if dtype is DType.FLOAT32 else dtype.range
    if dtype is not DType.FLOAT32 and not low <= value <= high:
        raise MalformedModel(f"{builder.source} computes with {value}, which {dtype.value} does not hold.")
    with np.errstate(over="ignore"):
        return builder.constant(np.asarray(value, dtype.numpy))


def pick(builder: Builder, tensor: Tensor, axis: int, indices: Array) -> Tensor:
    """The slices of `tensor` along `axis` (of the ONNX shape) at constant positions, in the order given."""
    if np.array_equal(indices, np.arange(builder.shape(tensor)[axis])):
        return tensor
    positions = builder.constant(indices.astype(np.int32))
    (result,) = builder.emit(Gather(tensor.order.index(axis), 0), [tensor.index, positions.index])
    return builder.tensor(result, tensor.order)
