"""Remove the transpose before a flattened FULLY_CONNECTED: its weights are permuted instead."""

from __future__ import annotations

from dataclasses import replace

from thimble.compiler.ir.graph import Graph, Role, constant
from thimble.compiler.ops.fully_connected import FullyConnected
from thimble.compiler.ops.reshape import Relabel, Reshape
from thimble.compiler.ops.transpose import Transpose
from thimble.compiler.passes.draft import Draft


def permute_weights(graph: Graph) -> Graph:
    """Where images are transposed, flattened and multiplied with constant weights, flatten them as they are."""
    draft = Draft(graph)
    for position in draft.positions:
        _permute(draft, position)
    return draft.finish()


def _permute(draft: Draft, position: int) -> None:
    node = draft.node(position)
    if not isinstance(node.op, FullyConnected) or node.inputs[0] is None or node.inputs[1] is None:
        return
    weights, flat = draft.values[node.inputs[1]], node.inputs[0]
    reshape = draft.writer(flat)
    if weights.role is not Role.CONSTANT or reshape is None or draft.only_reader(flat) != position:
        return
    images = draft.node(reshape).inputs[0]
    transpose = None if images is None else draft.writer(images)
    if not isinstance(draft.node(reshape).op, Relabel) or transpose is None or images is None:
        return
    op, source = draft.node(transpose).op, draft.node(transpose).inputs[0]
    shape, columns = draft.values[images].type.shape, weights.type.shape[1]
    kept = isinstance(op, Transpose) and op.permutation[0] == 0 and draft.values[flat].type.shape == (shape[0], columns)
    if not isinstance(op, Transpose) or not kept or source is None or draft.only_reader(images) != reshape:
        return
    order = [0, *(op.permutation.index(axis) for axis in range(1, len(shape)))]
    moved = weights.constant.reshape(-1, *shape[1:]).transpose(order).reshape(weights.type.shape)
    draft.nodes[transpose] = None
    draft.nodes[reshape] = replace(draft.node(reshape), op=Reshape((shape[0], columns)), inputs=(source,))
    inputs = (flat, draft.add(constant(weights.name, moved, weights.type)), *node.inputs[2:])
    draft.nodes[position] = replace(node, inputs=inputs)
