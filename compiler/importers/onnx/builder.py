"""The graph under construction: values with their order of dimensions; what is constant is computed at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from thimble.compiler.importers.onnx.tensors import checked_shape
from thimble.compiler.ir.errors import MalformedModel, UnsupportedOp, quoted
from thimble.compiler.ir.graph import Node, Role, Site, Value, constant
from thimble.compiler.ir.operator import Array, Operator, Rounding, Shape
from thimble.compiler.ir.types import MAX_TENSOR_BYTES, DType, QuantParams, TensorType
from thimble.compiler.ops.executor import compute
from thimble.compiler.ops.reshape import Reshape
from thimble.compiler.ops.transpose import Transpose

Order = tuple[int, ...]

MAX_CONSTANT_BYTES = 4 * MAX_TENSOR_BYTES
"""Of all constants together, those computed at import included."""

MAX_CONSTANT_MACS = 1 << 28
"""Multiply-accumulates of one node whose inputs are all constant: seconds in numpy."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of the ONNX model: dimension i of the stored value `index` is its dimension `order[i]`."""

    index: int
    order: Order


def channels_last(rank: int) -> Order:
    """The order (N, ..., C) of a tensor (N, C, ...)."""
    return (0, *range(2, rank), 1)


def inverse(order: Order) -> Order:
    """The order that undoes `order`."""
    return tuple(order.index(axis) for axis in range(len(order)))


@dataclass
class Builder:
    """Values and nodes so far; `source` names the node of the file that is being converted."""

    values: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    source: str = ""
    constant_bytes: int = 0
    narrow: dict[int, int] = field(default_factory=dict)  # inputs and constants of a narrower type: its code
    packed: dict[int, int] = field(default_factory=dict)  # quantized to such a type: the same value as INT4 or INT2
    _reordered: dict[tuple[Tensor, Order], Tensor] = field(default_factory=dict)

    def value(self, tensor: Tensor) -> Value:
        """The stored value of a tensor."""
        return self.values[tensor.index]

    def shape(self, tensor: Tensor) -> Shape:
        """The shape that the ONNX model sees."""
        stored = self.value(tensor).type.shape
        return tuple(stored[axis] for axis in inverse(tensor.order))

    def dtype(self, tensor: Tensor) -> DType:
        """The element type."""
        return self.value(tensor).type.dtype

    def is_constant(self, tensor: Tensor) -> bool:
        """Whether the contents are known at compile time."""
        return self.value(tensor).role is Role.CONSTANT

    def array(self, tensor: Tensor) -> Array:
        """The contents of a constant, as the ONNX model sees them."""
        return self.value(tensor).constant.transpose(inverse(tensor.order))

    def constant(self, array: Array, name: str = "", quant: QuantParams | None = None) -> Tensor:
        """A new constant."""
        kind = TensorType(array.shape, DType(array.dtype.name), quant)
        return self._add(constant(name, array, kind))

    def input(self, name: str, shape: Shape, dtype: DType, order: Order) -> Tensor:
        """An input of the model, of the ONNX shape `shape`, stored in `order`."""
        stored = tuple(shape[axis] for axis in order)
        value = Value(name, TensorType(stored, dtype), Role.INPUT, source_order=_unless_identity(order))
        return replace(self._add(value), order=order)

    def emit(
        self,
        op: Operator,
        inputs: Sequence[int | None],
        dtype: DType | None = None,
        shape: Shape | None = None,
        count: int = 1,
        quants: Sequence[QuantParams | None] = (None,),
    ) -> list[int]:
        """Apply an operator to stored values; the indices of its `count` results.

        `dtype` is that of the results (that of the first input where it is None); `shape` is needed by operators
        that take it from their output alone. Where all inputs are constant, so are the results.
        """
        first = next(self.values[i] for i in inputs if i is not None)
        kind = TensorType(shape or (), dtype or first.type.dtype)
        operands = tuple(None if i is None else self.values[i] for i in inputs)
        site = Site(op, operands, tuple(Value("", kind) for _ in range(count)), self.source)
        shapes = [checked_shape(s, max(kind.dtype.bits // 8, 1), self.source) for s in op.shapes(site)]
        quants = (*quants, *(None,) * (len(shapes) - len(quants)))
        outputs = [Value("", TensorType(s, kind.dtype, quant)) for s, quant in zip(shapes, quants, strict=True)]
        site = replace(site, outputs=tuple(outputs))
        if all(value is None or value.role is Role.CONSTANT for value in operands):
            return [self._add(value).index for value in self._computed(site)]
        results = [self._add(value).index for value in outputs]
        self.nodes.append(Node(op, tuple(inputs), tuple(results), self.source))
        return results

    def _computed(self, site: Site) -> list[Value]:
        if site.op.macs(site) > MAX_CONSTANT_MACS:
            raise UnsupportedOp(f"{self.source}: its inputs are constant, and it is too large to compute at import.")
        arrays = [np.zeros(0, np.int8) if value is None else value.constant for value in site.inputs]
        results = compute(site, arrays, Rounding.TFLM)
        return [
            constant("", array.reshape(value.type.shape), value.type)
            for array, value in zip(results, site.outputs, strict=True)
        ]

    def apply(
        self, op: Operator, tensors: Sequence[Tensor | None], dtype: DType | None = None, shape: Shape | None = None
    ) -> Tensor:
        """Apply an operator to tensors in their own order; the one result, in the order (0, 1, ...)."""
        (result,) = self.emit(op, [None if t is None else self.plain(t).index for t in tensors], dtype, shape)
        return self.tensor(result)

    def tensor(self, index: int, order: Order | None = None) -> Tensor:
        """A stored value as a tensor of the model."""
        rank = len(self.values[index].type.shape)
        return Tensor(index, tuple(range(rank)) if order is None else order)

    def plain(self, tensor: Tensor) -> Tensor:
        """The tensor stored in its own order of dimensions."""
        return self.ordered(tensor, tuple(range(len(tensor.order))))

    def ordered(self, tensor: Tensor, order: Order) -> Tensor:
        """The tensor stored in `order`; where dimensions of 1 alone move, no element does."""
        if tensor.order == order:
            return tensor
        made = self._reordered.get((tensor, order))
        if made is not None:
            return made
        permutation = tuple(tensor.order.index(axis) for axis in order)
        stored = self.value(tensor).type.shape
        moved = [axis for axis in permutation if stored[axis] != 1]
        target = tuple(stored[axis] for axis in permutation)
        op: Operator = Reshape(target) if moved == sorted(moved) else Transpose(permutation)
        (index,) = self.emit(op, [tensor.index], quants=(self._reordered_quant(tensor, permutation),))
        made = self._reordered[tensor, order] = Tensor(index, order)
        return made

    def _reordered_quant(self, tensor: Tensor, permutation: Order) -> QuantParams | None:
        quant = self.value(tensor).type.quant
        if quant is None or quant.per_tensor:
            return quant
        return replace(quant, axis=permutation.index(quant.axis))

    def reshape(self, tensor: Tensor, shape: Iterable[int]) -> Tensor:
        """The elements in their own order under another shape."""
        target = tuple(shape)
        if self.shape(tensor) == target:
            return tensor
        source = self.plain(tensor)
        (index,) = self.emit(
            Reshape(target), [source.index], quants=(_reshaped_quant(self.value(source).type, target),)
        )
        return self.tensor(index)

    def copy(self, tensor: Tensor) -> Tensor:
        """A value of its own with the same contents: what an output needs that is an input or a constant too."""
        value = self.value(tensor)
        made = self._add(Value("", value.type))
        self.nodes.append(Node(Reshape(value.type.shape), (tensor.index,), (made.index,), self.source))
        return replace(made, order=tensor.order)

    def name(self, tensor: Tensor, name: str) -> None:
        """Give a stored value that has no name yet the one of the ONNX model."""
        value = self.value(tensor)
        if not value.name:
            self.values[tensor.index] = replace(value, name=name)

    def _add(self, value: Value) -> Tensor:
        if 0 in value.type.shape and value.role is not Role.CONSTANT:
            raise UnsupportedOp(f"{self.source}: a tensor is empty, of shape {value.type.shape}.")
        value.type.check_size(f"Tensor {quoted(value.name)}")
        if value.role is Role.CONSTANT:
            self.constant_bytes += value.type.bytes
            if self.constant_bytes > MAX_CONSTANT_BYTES:
                raise MalformedModel(f"The constants take more than {MAX_CONSTANT_BYTES} bytes.")
        self.values.append(value)
        return self.tensor(len(self.values) - 1)


def _unless_identity(order: Order) -> Order | None:
    return None if order == tuple(range(len(order))) else order


def _reshaped_quant(kind: TensorType, shape: Shape) -> QuantParams | None:
    """The parameters under another shape; None where the axis of per-axis ones is no dimension any more."""
    quant = kind.quant
    if quant is None or quant.per_tensor:
        return quant
    outer = prod(kind.shape[: quant.axis])
    axes = [i for i, dim in enumerate(shape) if dim == len(quant.scales) and prod(shape[:i]) == outer]
    return replace(quant, axis=axes[0]) if axes else None
