"""The order of a graph's nodes that needs the fewest live bytes."""

from __future__ import annotations

from dataclasses import replace

from thimble.compiler.ir.graph import Graph, Role
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.guards import find_flags
from thimble.compiler.plan.layout import most_shared
from thimble.compiler.plan.order_search import Block, Step, find_order, peak_bytes
from thimble.compiler.plan.overlap import node_overlaps
from thimble.compiler.plan.views import find_views


def order_nodes(graph: Graph) -> tuple[int, ...]:
    """The nodes in an order of least peak of live bytes, by index; the given order where none is better.

    Exact where the search ends within its limit of work, which graphs of 200 nodes do unless very many branches lie
    side by side. What a state holds for each node that reads it stays the same.
    """
    steps, blocks = memory_of(graph)
    found = find_order(steps, blocks)
    given = tuple(range(len(graph.nodes)))
    if found.order == given:
        return given
    # Another order can make other views; only what is measured on the new graph counts.
    better = peak_bytes(*memory_of(in_order(graph, found.order)), given) < peak_bytes(steps, blocks, given)
    return found.order if better else given


def in_order(graph: Graph, order: tuple[int, ...]) -> Graph:
    """The graph with its nodes in another order, which must keep each value's writer before its readers."""
    return replace(graph, nodes=tuple(graph.nodes[i] for i in order))


def reorder(graph: Graph) -> Graph:
    """The graph with its nodes in the order of least peak."""
    return in_order(graph, order_nodes(graph))


def memory_of(graph: Graph) -> tuple[list[Step], list[Block]]:
    """What the nodes take in memory and wait for, as the planner sees it; views lie in the block of their base.

    States are left out, since they are there always. Scratch is that of TFLite Micro's rounding, so that the order
    does not depend on the rounding.
    """
    views = find_views(graph)
    makers = {i: step for step, node in enumerate(graph.nodes) for i in node.outputs}
    after = _state_hazards(graph, views)
    users: dict[int, set[int]] = {i: set() for i, v in enumerate(graph.values) if v.role is not Role.CONSTANT}
    for step, node in enumerate(graph.nodes):
        for i in node.inputs:
            if i is not None and i in users:
                users[views.get(i, i)].add(step)
                after[step] |= {makers[i]} if i in makers else set()
    kept = {views.get(i, i) for i in graph.outputs}
    homes = [i for i in (*graph.inputs, *makers) if i not in views]
    blocks = [Block(_bytes(graph, i), makers.get(i), frozenset(users[i]), i in kept) for i in homes]
    places = {value: block for block, value in enumerate(homes)}
    overlaps = node_overlaps(graph, views)
    steps = []
    for step, flag in find_flags(graph).items():
        after[step] |= {makers[flag.value]}  # else the node would have to run always
    for step, site in enumerate(graph.sites):
        viewed = any(i in views for i in graph.nodes[step].outputs)
        calls = () if viewed else site.lower(Rounding.TFLM)
        scratch = max((call.scratch_bytes for call in calls), default=0)
        reuse = tuple(
            (places[base], most_shared(site.output().type.bytes, _bytes(graph, base), distance))
            for base, distance in sorted(overlaps[step].items())
        )
        steps.append(Step(frozenset(after[step]), scratch, reuse))
    return steps, blocks


def _bytes(graph: Graph, value: int) -> int:
    return graph.values[value].type.bytes


def _state_hazards(graph: Graph, views: dict[int, int]) -> list[set[int]]:
    """For each node, those that must run before it so that all see the same contents of the states as now."""
    after: list[set[int]] = [set() for _ in graph.nodes]
    readers: dict[int, set[int]] = {i: set() for i in graph.states}
    writer: dict[int, int] = {}
    for step, node in enumerate(graph.nodes):
        touched = {views.get(i, i) for i in node.inputs if i is not None} & readers.keys()
        written = {node.inputs[position] for position in node.op.state_inputs if position < len(node.inputs)}
        for state in touched:
            after[step] |= {writer[state]} if state in writer else set()
            if state in written:
                after[step] |= readers[state]
                readers[state] = set()
                writer[state] = step
            else:
                readers[state].add(step)
    return after
