"""Make one RESHAPE of several in a row, and drop those that change no shape."""

from __future__ import annotations

from dataclasses import replace

from thimble.compiler.ir.graph import Graph
from thimble.compiler.ops.reshape import Relabel, Reshape
from thimble.compiler.passes.draft import Draft


def merge_reshapes(graph: Graph) -> Graph:
    """Let each RESHAPE, SQUEEZE or EXPAND_DIMS read the first value of its chain: all of them hold the same bytes."""
    draft = Draft(graph)
    for position in draft.positions:
        node = draft.node(position)
        if not isinstance(node.op, Relabel) or draft.drop_copy(position):
            continue
        source = node.inputs[0]
        writer = None if source is None else draft.writer(source)
        if source is None or writer is None or not isinstance(draft.node(writer).op, Relabel):
            continue
        first = draft.node(writer).inputs[0]
        if first is None or not draft.may_be_read_later(first):
            continue
        if draft.only_reader(source) == position:
            draft.nodes[writer] = None
        draft.nodes[position] = replace(node, op=Reshape(draft.values[node.outputs[0]].type.shape), inputs=(first,))
        draft.drop_copy(position)
    return draft.finish()
