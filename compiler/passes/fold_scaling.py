"""Fold products and sums with one number for each channel (batch normalization) into the weights before them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thimble.compiler.ir.graph import Graph, Node, Role, Value, constant
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType, TensorType
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.add_sub import AddOrSub
from thimble.compiler.ops.convolution import WeightedOperator
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.ops.mul import Mul
from thimble.compiler.passes.draft import Draft


def fold_scaling(graph: Graph) -> Graph:
    """Fold each float MUL, ADD and SUB with a constant into the convolution or matrix product that it alone reads.

    Weights that were integers in the model keep their scales, so that nothing is multiplied into them.
    """
    draft = Draft(graph)
    for position in draft.positions:
        folded = _folded(draft, position)
        if folded is not None:
            writer, node = folded
            draft.nodes[writer] = node
            draft.nodes[position] = None
    return draft.finish()


def _folded(draft: Draft, position: int) -> tuple[int, Node] | None:
    """The weighted node before, with what node `position` does in it; None where that cannot be."""
    node = draft.node(position)
    if not isinstance(node.op, AddOrSub | Mul) or draft.values[node.outputs[0]].type.dtype is not DType.FLOAT32:
        return None
    operand = next((i for i in (0, 1) if (index := node.inputs[i]) is not None and _is_constant(draft, index)), None)
    source = None if operand is None else node.inputs[1 - operand]
    if operand is None or source is None or (operand == 0 and getattr(node.op, "sign", 1) < 0):
        return None
    writer = draft.writer(source)
    if writer is None or draft.only_reader(source) != position:
        return None
    before = draft.node(writer)
    if not isinstance(before.op, WeightedOperator) or before.op.activation is not Activation.NONE:
        return None
    numbers = _per_channel(draft.values[node.inputs[operand]], draft.values[source])  # type: ignore[index]
    if numbers is None or draft.values[source].type.shape != draft.values[node.outputs[0]].type.shape:
        return None
    inputs = _changed(draft, before, node, numbers)
    if inputs is None:
        return None
    op = replace(before.op, activation=node.op.activation)
    return writer, replace(before, op=op, inputs=inputs, outputs=node.outputs)


def _changed(draft: Draft, before: Node, node: Node, numbers: Array) -> tuple[int | None, ...] | None:
    """The inputs of the weighted node after the change."""
    indices = (*before.inputs, None)[:3]
    weights, bias = (None if i is None else draft.values[i] for i in indices[1:3])
    if weights is None or weights.data is None or (bias is not None and bias.data is None):
        return None
    old = np.zeros(numbers.shape, np.float32) if bias is None else bias.constant.reshape(-1)
    if isinstance(node.op, AddOrSub):
        return (*indices[:2], _add(draft, bias, weights, old + node.op.sign * numbers))
    if weights.type.quant is not None:
        return None
    axis = 3 if isinstance(before.op, DepthwiseConv2D) else 0
    factors = numbers.reshape([-1 if i == axis else 1 for i in range(len(weights.type.shape))])
    scaled = draft.add(constant(weights.name, weights.constant * factors, weights.type))
    return (indices[0], scaled, None if bias is None else _add(draft, bias, weights, old * numbers))


def _add(draft: Draft, old: Value | None, weights: Value, data: Array) -> int:
    name = f"{weights.name} bias" if old is None else old.name
    return draft.add(constant(name, data.astype(np.float32), TensorType(data.shape, DType.FLOAT32)))


def _is_constant(draft: Draft, index: int) -> bool:
    return draft.values[index].role is Role.CONSTANT


def _per_channel(operand: Value, x: Value) -> Array | None:
    """The constant as one number for each channel, the last dimension of x; None where it is none."""
    channels = x.type.shape[-1]
    if operand.type.elements == 1:
        return np.full(channels, operand.constant.reshape(-1)[0], np.float32)
    single = operand.type.elements == channels and operand.type.shape[-1] == channels
    return operand.constant.reshape(-1) if single else None
