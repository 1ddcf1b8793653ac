"""A float graph made ready for integers: scales and offsets folded into weights, activations fused, a bias for all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thimble.compiler.ir.graph import Graph, Node, Role, Site, Value, constant
from thimble.compiler.ir.operator import Array, Operator
from thimble.compiler.ir.types import DType, TensorType
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.add_sub import Add, AddOrSub, Sub
from thimble.compiler.ops.convolution import WeightedOperator
from thimble.compiler.ops.mul import Mul
from thimble.compiler.ops.pool_2d import Pool2D
from thimble.compiler.ops.relu import Relu, Relu6
from thimble.compiler.passes.draft import Draft
from thimble.compiler.passes.remove_dead import remove_dead
from thimble.quantize.weights import channel_axis, has_weights, per_channel

_CLAMPS: dict[type[Operator], Activation] = {Relu: Activation.RELU, Relu6: Activation.RELU6}


def normalize(graph: Graph) -> Graph:
    """The same function of float32 numbers with fewer nodes; every convolution and matrix product has a bias."""
    graph = _add_biases(graph)
    graph = _fold_scales(graph)
    return remove_dead(_fuse_activations(graph))


def _add_biases(graph: Graph) -> Graph:
    draft = Draft(graph)
    for position, site in enumerate(graph.sites):
        if has_weights(site) and not site.has_input(2) and _is_float(site.output()):
            channels = site.input(1).type.shape[channel_axis(site)]
            bias = draft.add(_constant(f"{site.output().name}/bias", np.zeros(channels, np.float32)))
            node = draft.node(position)
            draft.nodes[position] = replace(node, inputs=(*node.inputs[:2], bias))
    return draft.finish()


def _fold_scales(graph: Graph) -> Graph:
    """Fold factors and offsets of one number a channel, such as batch normalization leaves, into the weights before.

    Source: Jacob et al., arXiv 1712.05877, section 3.2.
    """
    draft = Draft(graph)
    for position in draft.positions:
        site = draft.site(position)
        if not isinstance(site.op, Mul | AddOrSub) or not _is_float(site.output()):
            continue
        operand = next((i for i in (0, 1) if site.input(i).role is Role.CONSTANT), None)
        if operand is None or (isinstance(site.op, Sub) and operand == 0):
            continue
        source = draft.node(position).inputs[1 - operand]
        writer = None if source is None else draft.writer(source)
        if source is None or writer is None or draft.only_reader(source) != position:
            continue
        before = draft.site(writer)
        channels = _for_each_channel(site.input(operand), before)
        if channels is None or site.output().type.shape != before.output().type.shape:
            continue
        draft.nodes[writer] = _rescaled(draft, writer, position, channels)
        draft.nodes[position] = None
    return draft.finish()


def _for_each_channel(value: Value, before: Site) -> Array | None:
    """A constant as one number for each output channel of the node before; None where it is anything else."""
    if not has_weights(before) or not isinstance(before.op, WeightedOperator):
        return None
    count = before.output().type.shape[-1]
    if before.op.activation is not Activation.NONE or value.type.elements not in (1, count):
        return None
    if value.type.elements == count and value.type.shape[-1:] != (count,):
        return None
    return np.broadcast_to(value.constant.reshape(-1), (count,)).astype(np.float32)


def _rescaled(draft: Draft, writer: int, position: int, channels: Array) -> Node:
    """The node at `writer` with the factor or offset of the one at `position` in its weights, writing that one's output."""
    before, site, node = draft.site(writer), draft.site(position), draft.node(writer)
    weights, bias = before.input(1).constant, before.input(2).constant.reshape(-1)
    if isinstance(site.op, Mul):
        weights = weights * per_channel(channels, channel_axis(before), weights.ndim)
        bias = bias * channels
    else:
        bias = bias + channels * (1 if isinstance(site.op, Add) else -1)
    new_weights = draft.add(_constant(before.input(1).name, weights))
    new_bias = draft.add(_constant(before.input(2).name, bias))
    assert isinstance(before.op, WeightedOperator)
    assert isinstance(site.op, Mul | AddOrSub)
    return replace(
        node,
        op=replace(before.op, activation=site.op.activation),
        inputs=(node.inputs[0], new_weights, new_bias),
        outputs=draft.node(position).outputs,
    )


def _fuse_activations(graph: Graph) -> Graph:
    """Let the operator before a RELU or RELU6 clamp its own output, where nothing else reads it."""
    draft = Draft(graph)
    for position in draft.positions:
        site = draft.site(position)
        activation = _CLAMPS.get(type(site.op))
        source = draft.node(position).inputs[0] if activation is not None else None
        writer = None if source is None else draft.writer(source)
        if activation is None or source is None or writer is None or draft.only_reader(source) != position:
            continue
        operator = draft.node(writer).op
        if not isinstance(operator, WeightedOperator | AddOrSub | Mul | Pool2D) or not _is_float(site.output()):
            continue
        if operator.activation not in (Activation.NONE, activation):
            continue
        draft.nodes[writer] = replace(
            draft.node(writer), op=replace(operator, activation=activation), outputs=draft.node(position).outputs
        )
        draft.nodes[position] = None
    return draft.finish()


def _constant(name: str, data: Array) -> Value:
    return constant(name, data.astype(np.float32), TensorType(data.shape, DType.FLOAT32))


def _is_float(value: Value) -> bool:
    return value.type.dtype is DType.FLOAT32
