"""Give every graph output a buffer of its own, so that the interface never aliases an input, a constant or a state."""

from __future__ import annotations

from dataclasses import replace

from thimble.compiler.ir.graph import Graph, Node, Role, Value
from thimble.compiler.ops.reshape import Reshape


def separate_outputs(graph: Graph) -> Graph:
    """Copy each output that is an input, a constant, a state, or an output already named before."""
    values, nodes, outputs = list(graph.values), list(graph.nodes), []
    for index in graph.outputs:
        value = values[index]
        if value.role is Role.ACTIVATION and index not in outputs:
            outputs.append(index)
            continue
        copy = Value(value.name, value.type)
        values.append(copy)
        nodes.append(Node(Reshape(value.type.shape), (index,), (len(values) - 1,), "copy to an output of its own"))
        outputs.append(len(values) - 1)
    return replace(graph, values=tuple(values), nodes=tuple(nodes), outputs=tuple(outputs))
