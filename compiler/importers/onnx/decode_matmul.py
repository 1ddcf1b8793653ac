"""Decoders of matrix products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thimble.compiler.importers.onnx.builder import Builder, Tensor
from thimble.compiler.importers.onnx.decode_elementwise import ADD, MUL
from thimble.compiler.importers.onnx.decoding import Decoder, FileNode
from thimble.compiler.importers.onnx.layout import element_wise, scalar
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.batch_matmul import BatchMatmul
from thimble.compiler.ops.fully_connected import FullyConnected


def matmul(builder: Builder, x: Tensor, y: Tensor) -> Tensor:
    """numpy's matmul; FULLY_CONNECTED where the second is a constant matrix."""
    shapes = builder.shape(x), builder.shape(y)
    a = builder.reshape(x, (1, *shapes[0])) if len(shapes[0]) == 1 else x
    b = builder.reshape(y, (*shapes[1], 1)) if len(shapes[1]) == 1 else y
    if builder.is_constant(b) and len(builder.shape(b)) == 2 and not builder.is_constant(a):
        weights = builder.ordered(b, (1, 0))
        keep = len(builder.shape(a)) > 2
        (made,) = builder.emit(FullyConnected(Activation.NONE, keep), [builder.plain(a).index, weights.index])
        product = builder.tensor(made)
    else:
        product = builder.apply(BatchMatmul(False, False), [a, b])
    shape = list(builder.shape(product))
    if len(shapes[1]) == 1:
        del shape[-1]
    if len(shapes[0]) == 1:
        del shape[-1 if len(shapes[1]) == 1 else -2]
    return builder.reshape(product, shape)


def _matmul(node: FileNode) -> Sequence[Tensor]:
    shapes = node.shape(0), node.shape(1)
    if () in shapes or node.dtype(0) is not node.dtype(1):
        raise node.malformed("it multiplies scalars, or tensors of different types.")
    return [matmul(node.builder, node.input(0), node.input(1))]


def _gemm(node: FileNode) -> Sequence[Tensor]:
    b = node.builder
    x, y, addend = node.input(0), node.input(1), node.optional(2)
    if len(node.shape(0)) != 2 or len(node.shape(1)) != 2:
        raise node.malformed(f"it multiplies {node.shape(0)} and {node.shape(1)}, which are no matrices.")
    x = Tensor(x.index, _swapped(x)) if node.integer("transA", 0) else x
    y = Tensor(y.index, _swapped(y)) if node.integer("transB", 0) else y
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    if alpha != 1:
        y = element_wise(b, MUL, [y, scalar(b, alpha, y)])
    if addend is not None and beta != 1:
        addend = element_wise(b, MUL, [addend, scalar(b, beta, addend)])
    channels = b.shape(y)[1]
    if _is_bias(b, addend, channels) and b.is_constant(y) and node.dtype() is DType.FLOAT32:
        inputs = [b.plain(x).index, b.ordered(y, (1, 0)).index]
        if addend is not None:
            bias = np.broadcast_to(b.array(addend).reshape(-1), (channels,))
            inputs.append(b.constant(bias.copy()).index)
        (made,) = b.emit(FullyConnected(Activation.NONE, False), inputs)
        return [b.tensor(made)]
    product = b.apply(BatchMatmul(False, False), [x, y])
    return [product if addend is None else element_wise(b, ADD, [product, addend])]


def _is_bias(b: Builder, addend: Tensor | None, channels: int) -> bool:
    """Whether there is nothing to add, or one constant for each column."""
    if addend is None:
        return True
    return b.is_constant(addend) and b.shape(addend) in ((), (1,), (1, 1), (channels,), (1, channels))


def _swapped(x: Tensor) -> tuple[int, int]:
    """The order under which a stored matrix reads transposed."""
    return (1 - x.order[0], 1 - x.order[1])


DECODERS: dict[str, Decoder] = {"Gemm": _gemm, "MatMul": _matmul}
