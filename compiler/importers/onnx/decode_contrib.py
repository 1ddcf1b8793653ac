"""Decoders of onnxruntime's own quantized operators (com.microsoft), which its quantization tool writes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thimble.compiler.importers.onnx.builder import Tensor, channels_last
from thimble.compiler.importers.onnx.decode_elementwise import ADD, MUL
from thimble.compiler.importers.onnx.decode_matmul import gemm
from thimble.compiler.importers.onnx.decode_movement import concatenate
from thimble.compiler.importers.onnx.decode_pooling import average_pool
from thimble.compiler.importers.onnx.decode_quantization import dequantize, quantized_result, real_operand
from thimble.compiler.importers.onnx.decode_reduction import axis_last, reduce_axes
from thimble.compiler.importers.onnx.decoding import Decoder, FileNode
from thimble.compiler.importers.onnx.layout import element_wise
from thimble.compiler.ir.operator import Operator
from thimble.compiler.ir.types import QuantParams
from thimble.compiler.ops.leaky_relu import LeakyRelu
from thimble.compiler.ops.reduce import Mean
from thimble.compiler.ops.sigmoid import Logistic
from thimble.compiler.ops.softmax import Softmax


def _binary(op: Operator) -> Decoder:
    """Inputs: a, its scale and zero point, b, its scale and zero point, the result's scale and zero point."""

    def decode(node: FileNode) -> Sequence[Tensor]:
        made = element_wise(node.builder, op, [real_operand(node, 0, -1), real_operand(node, 3, -1)])
        return [quantized_result(node, made, 6)]

    return decode


def _sigmoid(node: FileNode) -> Sequence[Tensor]:
    return [quantized_result(node, element_wise(node.builder, Logistic(), [real_operand(node, 0, -1)]), 3)]


def _leaky_relu(node: FileNode) -> Sequence[Tensor]:
    op = LeakyRelu(node.number("alpha", 0.01))
    return [quantized_result(node, element_wise(node.builder, op, [real_operand(node, 0, -1)]), 3)]


def _softmax(node: FileNode) -> Sequence[Tensor]:
    rank = len(node.shape())
    if rank == 0 or node.integer("opset", 13) < 13:
        raise node.refused("the softmax of opsets before 13 is not supported here.")
    x = axis_last(node.builder, real_operand(node, 0, -1), node.axis(node.integer("axis", -1), rank))
    return [quantized_result(node, element_wise(node.builder, Softmax(1.0), [x]), 3)]


def _channels_first(node: FileNode) -> None:
    if node.integer("channels_last", 0) or len(node.shape()) < 3:
        raise node.refused("it takes images with the channels last, or none at all, which is not supported.")


def _global_average_pool(node: FileNode) -> Sequence[Tensor]:
    _channels_first(node)
    rank = len(node.shape())
    x = node.builder.ordered(real_operand(node, 0, -1), channels_last(rank))
    return [quantized_result(node, reduce_axes(node.builder, Mean, x, range(2, rank), True), 3)]


def _average_pool(node: FileNode) -> Sequence[Tensor]:
    _channels_first(node)
    return [quantized_result(node, average_pool(node, real_operand(node, 0, -1)), 3)]


def _concat(node: FileNode) -> Sequence[Tensor]:
    """Inputs: the result's scale and zero point, then each tensor with its own."""
    if len(node.inputs) < 5 or len(node.inputs) % 3 != 2:
        raise node.malformed(f"it has {len(node.inputs)} inputs; it takes two, and three for each tensor.")
    parts = [real_operand(node, first, -1) for first in range(2, len(node.inputs), 3)]
    ranks = {len(part.order) for part in parts}
    if len(ranks) != 1 or ranks == {0}:
        raise node.malformed("its tensors are of different ranks.")
    axis = node.axis(node.integer("axis", 0), ranks.pop())
    return [quantized_result(node, concatenate(node.builder, parts, axis), 0)]


def _gemm(node: FileNode) -> Sequence[Tensor]:
    """Inputs: a, b and their parameters, an int32 bias or nothing, the result's scale and zero point."""
    weights_axis = 0 if node.integer("transB", 0) else 1
    a, b, bias = real_operand(node, 0, -1), real_operand(node, 3, weights_axis), node.optional(6)
    if bias is not None:
        scales = node.constant(1, "scale").reshape(-1).astype(np.float32) * node.constant(4, "scale").reshape(-1)
        single = QuantParams(tuple(float(np.float32(s)) for s in scales), (0,) * len(scales))
        bias = dequantize(node.builder, bias, single) if node.builder.is_constant(bias) else None
        if bias is None:
            raise node.refused("its bias must be constant.")
    made = gemm(node, a, b, bias)
    return [quantized_result(node, made, 7)] if node.optional(7) is not None else [made]


DECODERS: dict[str, Decoder] = {
    "QGemm": _gemm,
    "QLinearAdd": _binary(ADD),
    "QLinearAveragePool": _average_pool,
    "QLinearConcat": _concat,
    "QLinearGlobalAveragePool": _global_average_pool,
    "QLinearLeakyRelu": _leaky_relu,
    "QLinearMul": _binary(MUL),
    "QLinearSigmoid": _sigmoid,
    "QLinearSoftmax": _softmax,
}
