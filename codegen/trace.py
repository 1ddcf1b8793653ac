"""A host program that replays a plan step by step and collects what every layer wrote."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from thimble.codegen.lowered import Lowered
from thimble.codegen.places import Places
from thimble.compiler.ir.graph import Graph
from thimble.compiler.plan.plan import Plan, Stage, Step


@dataclass(frozen=True, slots=True)
class Copy:
    """Bytes that a step wrote in the arena, and their place among the values collected."""

    offset: int
    value_offset: int
    bytes: int


@dataclass(frozen=True, slots=True)
class TracedStep:
    """One step: the stage, which of its calls it is, and what it wrote; no call for the stages of views."""

    stage: int
    call: int
    copies: tuple[Copy, ...]


@dataclass(frozen=True, slots=True)
class Traced:
    """All steps; `values` gives (offset, bytes) of each node output among those collected, of `bytes` in all."""

    steps: tuple[TracedStep, ...]
    values: tuple[tuple[int, int], ...]
    bytes: int


def trace_steps(graph: Graph, plan: Plan, lowered: Lowered) -> Traced:
    """Where to find what every step writes: the rows of its stage, or the whole output after the last of those that
    an accumulator makes. A view is where its base is."""
    bases = {view.value: view.base for view in plan.views}
    slots: dict[int, int] = {}
    total = 0
    for value in (v for v in range(len(graph.values)) if v not in bases):
        slots[value] = total
        total += graph.values[value].type.bytes
    functions = {f.stage for f in (*lowered.readers, *lowered.layers)}
    places, calls, steps = Places(graph, plan), [0] * len(plan.stages), []
    for step in plan.steps:
        if step.stage in functions:
            copies = tuple(_copies(graph, plan, places, step, slots, bases))
            steps.append(TracedStep(step.stage, calls[step.stage], copies))
            calls[step.stage] += 1
    outputs = [v for node in graph.nodes for v in node.outputs]
    values = tuple((slots[bases.get(v, v)], graph.values[v].type.bytes) for v in outputs)
    return Traced(tuple(steps), values, total)


def _copies(
    graph: Graph, plan: Plan, places: Places, step: Step, slots: dict[int, int], bases: dict[int, int]
) -> Iterator[Copy]:
    stage = plan.stages[step.stage]
    for tile in stage.outputs:
        value = plan.tiles[tile].value
        type_ = graph.values[value].type
        column_bytes = type_.row_bytes // max(type_.columns, 1)
        home = slots[bases.get(value, value)]
        for first, end in _spans(graph, stage, step, type_.rows):
            written = places.part(tile, (first, end), stage.columns)
            to = home + first * type_.row_bytes + stage.columns[0] * column_bytes
            if written.packed and written.row_bytes == type_.row_bytes:
                yield Copy(written.offset, to, written.bytes)
                continue
            for row in range(first, end):
                offset = places.row_offset(tile, row, stage.columns[0])
                yield Copy(offset, to + (row - first) * type_.row_bytes, written.row_bytes)
