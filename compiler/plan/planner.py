"""Graph to Plan: lifetimes in the graph's own order, outputs that may lie over operands, then a layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from thimble.compiler.ir.graph import Graph, Role
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.exact_layout import EFFORT, place_exactly
from thimble.compiler.plan.layout import Request, arena_bytes, place
from thimble.compiler.plan.options import Objective, PlanOptions, Schedule
from thimble.compiler.plan.overlap import find_slides
from thimble.compiler.plan.plan import Buffer, BufferKind, Plan, Stage, Step, Tile, View
from thimble.compiler.plan.regions import Region
from thimble.compiler.plan.search import FrontierPoint, Search
from thimble.compiler.plan.spread import spread_plan
from thimble.compiler.plan.views import find_views

ALIGNMENT = 4
"""Offsets are multiples of a word, so that kernels may load words; 8-byte elements get 8."""

MOST_ROWS = 1 << 14
"""Rows of the tallest tensor of a graph that is planned by rows; no microcontroller's input has more."""

ARENA_ALIGNMENT = 16
"""What the arena itself must be aligned to."""


def plan_layers(
    graph: Graph, rounding: Rounding = Rounding.TFLM, effort: float = EFFORT, regions: Sequence[Region] = ()
) -> Plan:
    """A plan that runs the nodes one by one in the order of the graph, each tensor whole.

    `effort` bounds the exact search for offsets, in CP-SAT's deterministic seconds; 0 leaves it out. It is one block
    where no regions are given, or where it does not fit them.
    """
    steps = len(graph.nodes)
    views = find_views(graph)
    lives = _lifetimes(graph)
    for view, base in views.items():
        lives[base] = (lives[base][0], max(lives[base][1], lives.pop(view)[1]))
    outputs = {views.get(i, i) for i in graph.outputs}
    buffers = [_value_buffer(graph, index, first, last, outputs) for index, (first, last) in sorted(lives.items())]
    for step, site in enumerate(graph.sites):
        if any(i in views for i in graph.nodes[step].outputs):
            continue
        scratch = max((call.scratch_bytes for call in site.lower(rounding)), default=0)
        if scratch:
            buffers.append(Buffer(f"scratch_{step}", BufferKind.SCRATCH, 0, scratch, step, step, stage=step))
    requests = [Request.block(b.first_step, b.last_step, b.bytes, _alignment(graph, b)) for b in buffers]
    slides = find_slides(graph, views, buffers)
    placement = place_exactly(requests, place(requests, slides), slides, effort)
    placed = tuple(replace(buffer, offset=offset) for buffer, offset in zip(buffers, placement.offsets, strict=True))
    stages = tuple(_whole_stage(graph, node) for node in range(steps))
    plan = Plan(
        buffers=placed,
        stages=stages,
        tiles=_whole_tiles(graph),
        steps=tuple(Step(i, *stage.rows) for i, stage in enumerate(stages)),
        arena_bytes=max(arena_bytes(requests, placement.offsets), 1),
        bound_bytes=placement.bound_bytes,
        views=tuple(View(*pair) for pair in views.items()),
    )
    return spread_plan(graph, plan, requests, range(len(buffers)), slides, regions, effort) if regions else plan


def plan_graph(graph: Graph, rounding: Rounding = Rounding.TFLM, options: PlanOptions | None = None) -> Plan:
    """The plan that the options ask for, of all schedules: layer by layer, by rows, by strips and patches.

    Where nothing stays within `max_sram_bytes`, it is the smallest plan that was found. With `regions`, it is laid out
    in them where it is too large for the first one or where latency is the objective; else it is one block.
    """
    options = options or PlanOptions()
    if only_whole(graph) and not options.input_by_rows:
        return _plan_whole(graph, rounding, options)
    search = _search(graph, rounding, options)
    if not options.regions:
        return search.best(options.max_sram_bytes).plan
    whole = sum(region.bytes for region in options.regions)
    limit = min(whole, options.max_sram_bytes or whole)
    found = search.best(limit)
    if found.arena_bytes > options.regions[0].bytes or options.objective is Objective.LATENCY:
        if found.runs is None:
            plan = plan_layers(graph, rounding, options.effort, options.regions)
        else:
            plan = search.spread(found.runs)
        if plan.blocks and plan.arena_bytes <= limit:
            return plan
    if found.arena_bytes <= options.regions[0].bytes:
        return found.plan
    return search.best(min(limit, options.regions[0].bytes)).plan


def _plan_whole(graph: Graph, rounding: Rounding, options: PlanOptions) -> Plan:
    """The plan of whole layers, in the regions of the options as `plan_graph` says."""
    plan = plan_layers(graph, rounding, options.effort)
    if not options.regions:
        return plan
    if plan.arena_bytes > options.regions[0].bytes or options.objective is Objective.LATENCY:
        spread = plan_layers(graph, rounding, options.effort, options.regions)
        if spread.blocks and spread.arena_bytes <= (options.max_sram_bytes or spread.arena_bytes):
            return spread
    return plan


def frontier(
    graph: Graph, rounding: Rounding = Rounding.TFLM, options: PlanOptions | None = None
) -> tuple[FrontierPoint, ...]:
    """Plans from the fewest cycles to the least bytes, none dominated; cycles are estimates."""
    options = options or PlanOptions()
    if only_whole(graph) and not options.input_by_rows:
        return (FrontierPoint(plan_layers(graph, rounding, options.effort), 0, graph.macs),)
    return _search(graph, rounding, options).frontier()


def least_live_bytes(graph: Graph, rounding: Rounding, options: PlanOptions) -> int:
    """About the bytes of the smallest plan of the options' schedule that computes nothing twice: found before any
    layout by rows, and after a quick one of whole layers."""
    layers = None if options.input_by_rows else plan_layers(graph, rounding, 0.0)
    if layers is not None and (options.schedule is Schedule.LAYER or only_whole(graph)):
        return layers.arena_bytes
    least = Search(graph, rounding, options, layers).least_live_bytes()
    return least if layers is None else min(least, layers.arena_bytes)


def only_whole(graph: Graph) -> bool:
    """Whether nodes can only run whole: no tensor has several rows, or one has more than are worth a look."""
    rows = max((v.type.rows for v in graph.values if v.role is not Role.CONSTANT), default=1)
    return rows < 2 or rows > MOST_ROWS


def _search(graph: Graph, rounding: Rounding, options: PlanOptions) -> Search:
    layers = None if options.input_by_rows else plan_layers(graph, rounding, options.effort)
    return Search(graph, rounding, options, layers)


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
