"""Which buffers may lie over which: outputs over operands that die at the same step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from thimble.compiler.ir.graph import Graph, Role
from thimble.compiler.plan.layout import Slide
from thimble.compiler.plan.plan import Buffer


def node_overlaps(graph: Graph, views: Mapping[int, int]) -> list[dict[int, int]]:
    """For each node, the values in whose buffers its output might begin, with the least distance before them.

    Whether those die there is for the caller to see; states never do, and what is an output of the graph neither.
    """
    kept = {views.get(i, i) for i in graph.outputs}
    found: list[dict[int, int]] = []
    for node, site in zip(graph.nodes, graph.sites, strict=True):
        distances: dict[int, int] = {}
        found.append(distances)
        if len(node.outputs) != 1 or node.outputs[0] in views:
            continue
        declared = {overlap.input: overlap.distance for overlap in site.overlaps()}
        bases = [None if i is None else views.get(i, i) for i in node.inputs]
        for base in set(bases):
            if base is None or base in kept or graph.values[base].role not in (Role.INPUT, Role.ACTIVATION):
                continue
            positions = [position for position, other in enumerate(bases) if other == base]
            if all(position in declared for position in positions):
                distances[base] = max(declared[position] for position in positions)
    return found


def find_slides(graph: Graph, views: Mapping[int, int], buffers: Sequence[Buffer]) -> tuple[Slide, ...]:
    """The slides between buffers, by their index in `buffers`, where the lifetimes allow them."""
    index = {b.value: i for i, b in enumerate(buffers) if b.value is not None}
    slides = []
    for step, (node, distances) in enumerate(zip(graph.nodes, node_overlaps(graph, views), strict=True)):
        for base, distance in sorted(distances.items()):
            over, under = index[node.outputs[0]], index[base]
            if buffers[under].last_step == step and distance < buffers[over].bytes:
                slides.append(Slide(over, under, distance))
    return tuple(slides)
