"""A host program that replays a plan step by step and collects what every layer wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from thimble.codegen.lowered import Lowered
from thimble.codegen.places import Places
from thimble.compiler.ir.graph import Graph, Site
from thimble.compiler.ir.operator import Span
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
    functions = {f.stage for f in lowered.layers} | {f.stage for f in lowered.readers}
    places, steps = Places(graph, plan), []
    calls, done = Counter(step.stage for step in plan.steps), Counter[int]()
    for step in plan.steps:
        if step.stage in functions:
            is_last = done[step.stage] + 1 == calls[step.stage]
            copies = tuple(_copies(graph, plan, places, step, is_last, slots, bases))
            steps.append(TracedStep(step.stage, done[step.stage], copies))
            done[step.stage] += 1
    outputs = [v for node in graph.nodes for v in node.outputs]
    values = tuple((slots[bases.get(v, v)], graph.values[v].type.bytes) for v in outputs)
    return Traced(tuple(steps), values, total)


def _copies(
    graph: Graph, plan: Plan, places: Places, step: Step, is_last: bool, slots: dict[int, int], bases: dict[int, int]
) -> Iterator[Copy]:
    """What a step of a stage leaves in the arena; those that read inputs leave nothing that a layer made."""
    stage = plan.stages[step.stage]
    if stage.node is None:
        return
    site = graph.sites[stage.node]
    first, end = _written_rows(site, stage, step, is_last)
    whole_width = stage.columns == (0, site.output().type.columns) if stage.outputs else True
    for tile in stage.outputs if first < end else ():
        value = plan.tiles[tile].value
        type_ = graph.values[value].type
        columns = (0, type_.columns) if whole_width else stage.columns
        column_bytes = type_.row_bytes // max(type_.columns, 1)
        to = slots[bases.get(value, value)] + first * type_.row_bytes + columns[0] * column_bytes
        written = places.part(tile, (first, end), columns)
        if written.packed and written.row_bytes == type_.row_bytes:
            yield Copy(written.offset, to, written.bytes)
            continue
        for row in range(first, end):
            offset = places.part(tile, (row, row + 1), columns).offset
            yield Copy(offset, to + (row - first) * type_.row_bytes, written.row_bytes)


def _written_rows(site: Site, stage: Stage, step: Step, is_last: bool) -> Span:
    """The rows that a stage has finished in a step: without row form or with an accumulator, all in the last one."""
    form = site.op.rows(site)
    if form is None or form.accumulator_bytes:
        return stage.rows if is_last else (0, 0)
    return stage.rows[0] + step.first, stage.rows[0] + step.end
