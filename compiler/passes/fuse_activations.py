"""Fuse RELU and RELU6 of float graphs into the operator before them."""

from __future__ import annotations

from dataclasses import replace

from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Operator
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.add_sub import AddOrSub
from thimble.compiler.ops.convolution import WeightedOperator
from thimble.compiler.ops.mul import Mul
from thimble.compiler.ops.pool_2d import Pool2D
from thimble.compiler.ops.relu import Relu, Relu6
from thimble.compiler.passes.draft import Draft

_ACTIVATIONS: dict[type[Operator], Activation] = {Relu: Activation.RELU, Relu6: Activation.RELU6}


def fuse_activations(graph: Graph) -> Graph:
    """Let each operator that can clamp its float output do so in place of the only node that reads it."""
    draft = Draft(graph)
    for position in draft.positions:
        node = draft.node(position)
        activation = _ACTIVATIONS.get(type(node.op))
        source = node.inputs[0] if node.inputs else None
        if activation is None or source is None or draft.values[source].type.dtype is not DType.FLOAT32:
            continue
        writer = draft.writer(source)
        if writer is None or draft.only_reader(source) != position:
            continue
        op = draft.node(writer).op
        if isinstance(op, WeightedOperator | AddOrSub | Mul | Pool2D) and op.activation is Activation.NONE:
            fused = replace(op, activation=activation)
            draft.nodes[writer] = replace(draft.node(writer), op=fused, outputs=node.outputs)
            draft.nodes[position] = None
    return draft.finish()
