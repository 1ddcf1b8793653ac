"""Let FULLY_CONNECTED read what a RESHAPE before it reads: it takes rows of D elements from an input of any shape.

The planner can then feed it an image row by row, where the flattened tensor would be one single row.
"""

from __future__ import annotations

from dataclasses import replace

from thimble.compiler.ir.graph import Graph
from thimble.compiler.ops.fully_connected import FullyConnected
from thimble.compiler.ops.reshape import Relabel
from thimble.compiler.passes.draft import Draft


def read_unflattened(graph: Graph) -> Graph:
    """Skip the RESHAPE, SQUEEZE or EXPAND_DIMS between several rows and a FULLY_CONNECTED that keeps no dimensions."""
    draft = Draft(graph)
    for position in draft.positions:
        node = draft.node(position)
        if not isinstance(node.op, FullyConnected) or node.op.keep_dims or node.inputs[0] is None:
            continue
        writer = draft.writer(node.inputs[0])
        if writer is None or not isinstance(draft.node(writer).op, Relabel):
            continue
        source = draft.node(writer).inputs[0]
        if source is not None and draft.values[source].type.rows > 1 and draft.may_be_read_later(source):
            if draft.only_reader(node.inputs[0]) == position:
                draft.nodes[writer] = None
            draft.nodes[position] = replace(node, inputs=(source, *node.inputs[1:]))
    return draft.finish()
