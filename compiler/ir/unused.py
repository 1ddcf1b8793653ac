"""Values of a graph that nothing names."""

from __future__ import annotations

from dataclasses import replace

from thimble.compiler.ir.graph import Graph


def without_unused(graph: Graph) -> Graph:
    """The graph without values that no node and no interface names, such as constant axes that became attributes."""
    used = sorted(
        {i for node in graph.nodes for i in (*node.inputs, *node.outputs) if i is not None}
        | {*graph.inputs, *graph.outputs}
    )
    renumber = {old: new for new, old in enumerate(used)}
    nodes = tuple(
        replace(
            node,
            inputs=tuple(None if i is None else renumber[i] for i in node.inputs),
            outputs=tuple(renumber[i] for i in node.outputs),
        )
        for node in graph.nodes
    )
    return Graph(
        graph.name,
        tuple(graph.values[i] for i in used),
        nodes,
        tuple(renumber[i] for i in graph.inputs),
        tuple(renumber[i] for i in graph.outputs),
    )
