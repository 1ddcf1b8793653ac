"""Plans in which every output that may lie over an operand does, as far as it may: what a planner does only at need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.layer_plan import plan_layers
from thimble.compiler.plan.layout import Slide
from thimble.compiler.plan.overlap import find_slides
from thimble.compiler.plan.plan import Buffer, Plan
from thimble.compiler.plan.planner import ARENA_ALIGNMENT


def slides_of(graph: Graph, plan: Plan) -> tuple[Slide, ...]:
    """All overlaps that the lifetimes allow."""
    return find_slides(graph, {view.value: view.base for view in plan.views}, plan.buffers)


def over_first_operand(graph: Graph, rounding: Rounding = Rounding.TFLM) -> Plan:
    """Each output begins as late as it may in the first of its operands that die."""
    plan = plan_layers(graph, rounding, effort=0)
    return force(graph, plan, {slide.over: slide for slide in reversed(slides_of(graph, plan))})


def over_last_operand(graph: Graph, rounding: Rounding = Rounding.TFLM) -> Plan:
    """Each output begins as late as it may in the last of its operands that die."""
    plan = plan_layers(graph, rounding, effort=0)
    return force(graph, plan, {slide.over: slide for slide in slides_of(graph, plan)})


def force(graph: Graph, plan: Plan, slides: dict[int, Slide]) -> Plan:
    """Chains of buffers that lie over each other, one chain above the other: nothing else shares memory."""
    chains: list[list[int]] = []
    chain_of: dict[int, int] = {}
    places = [0] * len(plan.buffers)
    for i in sorted(range(len(plan.buffers)), key=lambda i: (plan.buffers[i].first_step, i in slides)):
        slide = slides.get(i)
        if slide is None:
            chain_of[i] = len(chains)
            chains.append([i])
            continue
        under = slide.under
        unit = max(element_bytes(graph, plan.buffers[i]), element_bytes(graph, plan.buffers[under]))
        places[i] = places[under] - -(-slide.distance // unit) * unit
        chain_of[i] = chain_of[under]
        chains[chain_of[i]].append(i)
    return stack(plan, chains, places)


def stack(plan: Plan, chains: Sequence[Sequence[int]], places: Sequence[int]) -> Plan:
    """The plan with its chains one above the other; `places` are relative to the first buffer of each chain."""
    buffers, end = list(plan.buffers), 0
    for chain in chains:
        base = -(-(end - min(places[i] for i in chain)) // ARENA_ALIGNMENT) * ARENA_ALIGNMENT
        for i in chain:
            buffers[i] = replace(buffers[i], offset=base + places[i])
            end = max(end, buffers[i].end)
    return replace(plan, buffers=tuple(buffers), arena_bytes=max(end, 1))


def element_bytes(graph: Graph, buffer: Buffer) -> int:
    """Bytes of one element of a value's buffer."""
    assert buffer.value is not None
    return graph.values[buffer.value].type.dtype.alignment
