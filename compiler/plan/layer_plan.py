"""Plans that run the nodes one by one: lifetimes in the graph's own order, outputs over operands, then a layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from thimble.compiler.ir.graph import Graph, Role
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.exact_layout import EFFORT, place_exactly
from thimble.compiler.plan.guards import Flag, find_flags, guards_of, steps_needed
from thimble.compiler.plan.kernels import NodeNeeds
from thimble.compiler.plan.layout import Request, Slide, arena_bytes, place, step_bounds
from thimble.compiler.plan.overlap import find_slides
from thimble.compiler.plan.plan import Buffer, BufferKind, Plan, Stage, Step, Tile, View
from thimble.compiler.plan.regions import Region
from thimble.compiler.plan.requests import Part
from thimble.compiler.plan.row_graph import scratch_bytes
from thimble.compiler.plan.spread import spread_plan
from thimble.compiler.plan.views import find_views

ALIGNMENT = 4
"""Offsets are multiples of a word, so that kernels may load words; 8-byte elements get 8."""


def plan_layers(
    graph: Graph,
    rounding: Rounding = Rounding.TFLM,
    effort: float = EFFORT,
    regions: Sequence[Region] = (),
    guarded: bool = True,
) -> Plan:
    """A plan that runs the nodes one by one in the order of the graph, each tensor whole.

    `effort` bounds the exact search for offsets, in CP-SAT's deterministic seconds; 0 leaves it out. It is one block
    where no regions are given, or where it does not fit them. Where not `guarded`, nodes run whose results nobody
    reads in an inference, too.
    """
    pieces = _layer_pieces(graph, rounding, guarded)
    buffers, requests, slides = pieces.buffers, pieces.requests, pieces.slides
    placement = place_exactly(requests, place(requests, slides), slides, effort)
    placed = tuple(replace(buffer, offset=offset) for buffer, offset in zip(buffers, placement.offsets, strict=True))
    stages = tuple(_whole_stage(graph, node) for node in range(len(graph.nodes)))
    plan = Plan(
        buffers=placed,
        stages=stages,
        tiles=_whole_tiles(graph),
        steps=tuple(Step(i, *stage.rows) for i, stage in enumerate(stages)),
        arena_bytes=max(arena_bytes(requests, placement.offsets), 1),
        bound_bytes=placement.bound_bytes,
        views=tuple(View(*pair) for pair in pieces.views.items()),
        guards=guards_of(graph, stages) if guarded else (),
    )
    return spread_plan(graph, plan, requests, range(len(buffers)), slides, regions, effort) if regions else plan


def layer_needs(graph: Graph, rounding: Rounding) -> tuple[dict[int, NodeNeeds], int]:
    """What nodes that run one by one need beside their scratch, and the bytes that no layout is below."""
    pieces = _layer_pieces(graph, rounding)
    if not pieces.requests:
        return {}, 0
    steps, live, saved = step_bounds(pieces.requests, pieces.slides)
    needs = {}
    for node, made in enumerate(graph.nodes):
        if not any(i in pieces.views for i in made.outputs):
            at = np.searchsorted(steps, node, side="right") - 1
            scratch = sum(b.bytes for b in pieces.buffers if b.stage == node)
            needs[node] = NodeNeeds(False, int(live[at]) - scratch, int(live[at] + saved[at]) - scratch, ((1, 0.0),))
    return needs, int(live.max())


def scratch_of_layers(graph: Graph, rounding: Rounding) -> list[int]:
    """Working memory of each node that runs whole; none of those that make views."""
    views = find_views(graph)
    return [
        0 if any(i in views for i in node.outputs) else scratch_bytes(site.lower(rounding))
        for node, site in zip(graph.nodes, graph.sites, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _LayerPieces:
    """The buffers of a graph run layer by layer, as requests, and which may lie over which."""

    views: dict[int, int]
    buffers: list[Buffer]
    requests: list[Request]
    slides: tuple[Slide, ...]


def _layer_pieces(graph: Graph, rounding: Rounding, guarded: bool = True) -> _LayerPieces:
    views, flags = find_views(graph), find_flags(graph) if guarded else {}
    lives = _lifetimes(graph)
    for view, base in views.items():
        lives[base] = (lives[base][0], max(lives[base][1], lives.pop(view)[1]))
    outputs = {views.get(i, i) for i in graph.outputs}
    buffers = [_value_buffer(graph, index, first, last, outputs) for index, (first, last) in sorted(lives.items())]
    for step, scratch in enumerate(scratch_of_layers(graph, rounding)):
        if scratch:
            buffers.append(Buffer(f"scratch_{step}", BufferKind.SCRATCH, 0, scratch, step, step, stage=step))
    requests = [_request(graph, flags, views, buffer) for buffer in buffers]
    return _LayerPieces(views, buffers, requests, find_slides(graph, views, buffers))


def _request(graph: Graph, flags: Mapping[int, Flag], views: Mapping[int, int], buffer: Buffer) -> Request:
    """A buffer as a body; steps that do not run where its value is made do not count."""
    spans = [(buffer.first_step, buffer.last_step)]
    if flags and buffer.value is not None:
        spans = steps_needed(graph, flags, views, buffer.value, *spans[0])
    return Request(tuple(Part(*span, buffer.bytes) for span in spans), _alignment(graph, buffer))


def _lifetimes(graph: Graph) -> dict[int, tuple[int, int]]:
    """First and last step at which each value that lives in the arena must hold its contents."""
    end = max(len(graph.nodes) - 1, 0)
    lives: dict[int, tuple[int, int]] = dict.fromkeys(graph.inputs, (0, 0))
    lives.update(dict.fromkeys(graph.states, (0, end)))
    for step, node in enumerate(graph.nodes):
        for i in node.outputs:
            lives[i] = (step, step)
        for operand in node.inputs:
            if operand is not None and graph.values[operand].role is not Role.CONSTANT:
                lives[operand] = (lives[operand][0], max(step, lives[operand][1]))
    for i in graph.outputs:
        lives[i] = (lives[i][0], end)
    return lives


def _value_buffer(graph: Graph, index: int, first: int, last: int, outputs: set[int]) -> Buffer:
    role = graph.values[index].role
    kind = BufferKind.ACTIVATION
    if role is Role.STATE:
        kind = BufferKind.STATE
    elif role is Role.INPUT:
        kind = BufferKind.INPUT
    elif index in outputs:
        kind = BufferKind.OUTPUT
    size = graph.values[index].type.bytes
    return Buffer(f"{kind.value}_{index}", kind, 0, size, first, last, value=index, tile=index)


def _alignment(graph: Graph, buffer: Buffer) -> int:
    wide = buffer.kind is BufferKind.SCRATCH or (
        buffer.value is not None and graph.values[buffer.value].type.dtype.alignment == 8
    )
    return 8 if wide else ALIGNMENT


def _whole_tiles(graph: Graph) -> tuple[Tile, ...]:
    """Every value of the graph as one tile, so that tile i is value i; those of constants are never used."""
    return tuple(Tile(i, (0, v.type.rows), (0, v.type.columns)) for i, v in enumerate(graph.values))


def _whole_stage(graph: Graph, step: int) -> Stage:
    """A node over its whole output."""
    node = graph.nodes[step]
    inputs = tuple(None if i is None or graph.values[i].role is Role.CONSTANT else i for i in node.inputs)
    type_ = graph.values[node.outputs[0]].type if node.outputs else None
    rows, columns = (type_.rows, type_.columns) if type_ else (1, 1)
    return Stage(step, inputs, node.outputs, (0, rows), (0, columns))
