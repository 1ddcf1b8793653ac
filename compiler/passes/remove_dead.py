"""Remove nodes whose results nobody reads, and values that nothing names."""

from __future__ import annotations

from dataclasses import replace

from thimble.compiler.ir.graph import Graph, Node


def remove_dead(graph: Graph) -> Graph:
    """Keep what the outputs need and every write of state; inputs stay, for they are the interface."""
    wanted = set(graph.outputs)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if not node.outputs or node.op.state_inputs or wanted.intersection(node.outputs):
            kept.append(node)
            wanted.update(i for i in node.inputs if i is not None)
    named = sorted(wanted.union(graph.inputs, *(node.outputs for node in kept)))
    if len(kept) == len(graph.nodes) and len(named) == len(graph.values):
        return graph
    number = {old: new for new, old in enumerate(named)}
    return replace(
        graph,
        values=tuple(graph.values[i] for i in named),
        nodes=tuple(_renumber(node, number) for node in reversed(kept)),
        inputs=tuple(number[i] for i in graph.inputs),
        outputs=tuple(number[i] for i in graph.outputs),
    )


def _renumber(node: Node, number: dict[int, int]) -> Node:
    inputs = tuple(None if i is None else number[i] for i in node.inputs)
    return replace(node, inputs=inputs, outputs=tuple(number[i] for i in node.outputs))
