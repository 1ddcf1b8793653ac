"""Decoders of reductions, ARG_MAX, softmax and its kin, and running sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from thimble.compiler.importers.onnx.builder import Builder, Order, Tensor
from thimble.compiler.importers.onnx.decode_elementwise import MUL, SUB
from thimble.compiler.importers.onnx.decoding import Decoder, FileNode
from thimble.compiler.importers.onnx.layout import element_wise, pick, scalar
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.abs import Abs
from thimble.compiler.ops.arg_min_max import ArgMax, ArgMin
from thimble.compiler.ops.batch_matmul import BatchMatmul
from thimble.compiler.ops.cast import Cast
from thimble.compiler.ops.comparison import Equal
from thimble.compiler.ops.elementary import Elementary, Function
from thimble.compiler.ops.reduce import Mean, ReduceMax, ReduceMin, ReduceProd, Reduction, Sum
from thimble.compiler.ops.softmax import Softmax

Reducer = Callable[[Builder, Tensor, Sequence[int], bool], Tensor]


def reduce_axes(builder: Builder, kind: type[Reduction], x: Tensor, axes: Sequence[int], keep: bool) -> Tensor:
    """Reduce along `axes` of the ONNX shape, counted from 0."""
    op = kind(tuple(sorted(x.order.index(axis) for axis in axes)), keep)
    (result,) = builder.emit(op, [x.index])
    return builder.tensor(result, x.order if keep else _order_without(x.order, axes))


def _order_without(order: Order, axes: Sequence[int]) -> Order:
    left = sorted(axis for axis in order if axis not in axes)
    return tuple(left.index(axis) for axis in order if axis not in axes)


def _plain(kind: type[Reduction]) -> Reducer:
    return lambda b, x, axes, keep: reduce_axes(b, kind, x, axes, keep)


def _l1(b: Builder, x: Tensor, axes: Sequence[int], keep: bool) -> Tensor:
    return reduce_axes(b, Sum, element_wise(b, Abs(), [x]), axes, keep)


def _sum_square(b: Builder, x: Tensor, axes: Sequence[int], keep: bool) -> Tensor:
    return reduce_axes(b, Sum, element_wise(b, MUL, [x, x]), axes, keep)


def l2(b: Builder, x: Tensor, axes: Sequence[int], keep: bool) -> Tensor:
    """The square root of the sum of squares."""
    return element_wise(b, Elementary(Function.SQRT), [_sum_square(b, x, axes, keep)])


def _log_sum(b: Builder, x: Tensor, axes: Sequence[int], keep: bool) -> Tensor:
    return element_wise(b, Elementary(Function.LOG), [reduce_axes(b, Sum, x, axes, keep)])


def _log_sum_exp(b: Builder, x: Tensor, axes: Sequence[int], keep: bool) -> Tensor:
    return _log_sum(b, element_wise(b, Elementary(Function.EXP), [x]), axes, keep)


def _reduction(reducer: Reducer, of_nothing: float = 0.0) -> Decoder:
    """A decoder of a reduction; `of_nothing` is its result over no elements (cut to the range of integers)."""

    def decode(node: FileNode) -> Sequence[Tensor]:
        x, rank = node.input(), len(node.shape())
        given, keep = node.axes(), bool(node.integer("keepdims", 1))
        if not given and node.integer("noop_with_empty_axes", 0):
            return [reducer(node.builder, x, (), True)]
        axes = sorted({node.axis(axis, rank) for axis in given}) if given else list(range(rank))
        if 0 not in node.shape():
            return [reducer(node.builder, x, axes, keep)]
        kept = tuple(1 if i in axes else dim for i, dim in enumerate(node.shape()))
        dtype = node.dtype()
        result = of_nothing if dtype is DType.FLOAT32 else max(min(of_nothing, dtype.range[1]), dtype.range[0])
        shape = kept if keep else tuple(dim for i, dim in enumerate(kept) if i not in axes)
        return [node.builder.constant(np.full(shape, result, dtype.numpy))]

    return decode


def _arg_extreme(kind: type[ArgMax] | type[ArgMin]) -> Decoder:
    def decode(node: FileNode) -> Sequence[Tensor]:
        b, x = node.builder, node.builder.plain(node.input())
        shape = node.shape()
        if not shape:
            raise node.refused("its input is a scalar.")
        axis = node.axis(node.integer("axis", 0), len(shape))
        last = bool(node.integer("select_last_index", 0))
        searched = pick(b, x, axis, np.arange(shape[axis])[::-1]) if last else x
        found = b.apply(kind(axis), [searched], DType.INT32)
        if last:
            found = element_wise(b, SUB, [scalar(b, shape[axis] - 1, found), found])
        found = b.apply(Cast(), [found], DType.INT64)
        kept = (*shape[:axis], 1, *shape[axis + 1 :])
        return [b.reshape(found, kept) if node.integer("keepdims", 1) else found]

    return decode


def axis_last(builder: Builder, x: Tensor, axis: int) -> Tensor:
    """The tensor stored with `axis` of the ONNX shape last."""
    if x.order[-1] == axis:
        return x
    return builder.ordered(x, (*(a for a in x.order if a != axis), axis))


def _along_axis(compute: Callable[[Builder, Tensor], Tensor], default: int = -1) -> Decoder:
    """A decoder of an operator along one axis; before opset 13 along all axes from `axis` on."""

    def decode(node: FileNode) -> Sequence[Tensor]:
        b, x, shape = node.builder, node.input(), node.shape()
        if not shape:
            raise node.refused("its input is a scalar.")
        if node.opset < 13:
            axis = node.axis(node.integer("axis", 1), len(shape))
            flat = b.reshape(x, (int(np.prod(shape[:axis])), int(np.prod(shape[axis:]))))
            return [b.reshape(compute(b, flat), shape)]
        axis = node.axis(node.integer("axis", default), len(shape))
        return [compute(b, axis_last(b, x, axis))]

    return decode


def _softmax(builder: Builder, x: Tensor) -> Tensor:
    return element_wise(builder, Softmax(1.0), [x])


def _log_softmax(b: Builder, x: Tensor) -> Tensor:
    axis = [x.order[-1]]
    below = element_wise(b, SUB, [x, reduce_axes(b, ReduceMax, x, axis, True)])
    return element_wise(b, SUB, [below, _log_sum_exp(b, below, axis, True)])


def _hardmax(b: Builder, x: Tensor) -> Tensor:
    """1 at the first of the largest elements along the last stored dimension, 0 elsewhere."""
    shape = b.value(x).type.shape
    stored = b.tensor(x.index)
    found = b.apply(ArgMax(len(shape) - 1), [stored], DType.INT32)
    places = b.constant(np.arange(shape[-1], dtype=np.int32))
    hits = element_wise(b, Equal(), [b.reshape(found, (*shape[:-1], 1)), places], DType.BOOL)
    (result,) = b.emit(Cast(), [hits.index], b.dtype(x))
    return b.tensor(result, x.order)


def _cumulative_sum(node: FileNode) -> Sequence[Tensor]:
    """A product with a triangle of ones."""
    b, shape = node.builder, node.shape()
    axis = node.axis(node.integers(1, "axis")[0], len(shape))
    if shape[axis] > 1 << 10:
        raise node.refused(f"a running sum over {shape[axis]} elements is not supported.")
    triangle = np.triu(np.ones((shape[axis], shape[axis])), k=node.integer("exclusive", 0))
    triangle = triangle.T if node.integer("reverse", 0) else triangle
    x = axis_last(b, node.input(), axis)
    stored = b.value(x).type.shape
    rows = b.reshape(b.tensor(x.index), (int(np.prod(stored[:-1])), stored[-1]))
    sums = b.apply(BatchMatmul(False, False), [rows, b.constant(triangle.astype(node.dtype().numpy))])
    return [b.tensor(b.reshape(sums, stored).index, x.order)]


DECODERS: dict[str, Decoder] = {
    "ArgMax": _arg_extreme(ArgMax),
    "ArgMin": _arg_extreme(ArgMin),
    "CumSum": _cumulative_sum,
    "Hardmax": _along_axis(_hardmax),
    "LogSoftmax": _along_axis(_log_softmax),
    "ReduceL1": _reduction(_l1),
    "ReduceL2": _reduction(l2),
    "ReduceLogSum": _reduction(_log_sum, -np.inf),
    "ReduceLogSumExp": _reduction(_log_sum_exp, -np.inf),
    "ReduceMax": _reduction(_plain(ReduceMax), -np.inf),
    "ReduceMean": _reduction(_plain(Mean)),
    "ReduceMin": _reduction(_plain(ReduceMin), np.inf),
    "ReduceProd": _reduction(_plain(ReduceProd), 1.0),
    "ReduceSum": _reduction(_plain(Sum)),
    "ReduceSumSquare": _reduction(_sum_square),
    "Softmax": _along_axis(_softmax),
}
