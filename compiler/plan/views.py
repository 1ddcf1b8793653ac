"""Which values need no memory of their own: those that repeat the bytes of another one while nothing changes them."""

from __future__ import annotations

from thimble.compiler.ir.graph import Graph, Role


def find_views(graph: Graph) -> dict[int, int]:
    """Each view and its base, the value in whose buffer it lies and which is no view; nodes run in the graph's order.

    A view of an input or a state must not be an output, nor may two outputs share memory: each part of the interface
    has bytes of its own. A view of a state must be read for the last time before the state is written.
    """
    views: dict[int, int] = {}
    reads, writes = _last_reads(graph), _state_writes(graph)
    outputs = set(graph.outputs)  # with the bases of views that are outputs
    for step, node in enumerate(graph.nodes):
        source = None if node.op.copied_input is None else node.inputs[node.op.copied_input]
        if source is None:
            continue
        (copy,) = node.outputs
        base = views.get(source, source)
        role = graph.values[base].role
        if role is Role.CONSTANT or any(step < write <= reads.get(copy, step) for write in writes.get(base, ())):
            continue
        if copy in outputs and (base in outputs or role is not Role.ACTIVATION):
            continue
        views[copy] = base
        if copy in outputs:
            outputs.add(base)
    return views


def _last_reads(graph: Graph) -> dict[int, int]:
    """The last step that reads each value."""
    return {i: step for step, node in enumerate(graph.nodes) for i in node.inputs if i is not None}


def _state_writes(graph: Graph) -> dict[int, list[int]]:
    """The steps that write each state."""
    writes: dict[int, list[int]] = {}
    for step, node in enumerate(graph.nodes):
        for position in node.op.state_inputs:
            state = node.inputs[position] if position < len(node.inputs) else None
            if state is not None:
                writes.setdefault(state, []).append(step)
    return writes
