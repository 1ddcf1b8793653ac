"""A schedule of runs as a Plan: a buffer for each row that may lie alone, and which rows may lie over which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from thimble.compiler.ir.graph import Role
from thimble.compiler.plan.exact_layout import EFFORT, place_exactly
from thimble.compiler.plan.gaps import SCRATCH_ALIGNMENT
from thimble.compiler.plan.guards import guards_of
from thimble.compiler.plan.kernels import NodeNeeds
from thimble.compiler.plan.layout import Part, Request, Slide, arena_bytes, place, step_bounds
from thimble.compiler.plan.plan import ADDRESSABLE_BYTES, Buffer, BufferKind, Plan, View
from thimble.compiler.plan.regions import Region
from thimble.compiler.plan.row_graph import Home, RowGraph
from thimble.compiler.plan.runs import Parts, Run
from thimble.compiler.plan.spread import spread_plan
from thimble.compiler.plan.stages import RanStage, Staged, StoredTile, stage_runs

EXACT_SHARE = 0.2
"""Of the effort, what the exact search gets: a deterministic second takes several real ones on rows."""

EXACT_REQUESTS = 120
"""Beyond so many bodies the exact search gets only what effort there is above the usual: it rarely finds anything."""


def plan_runs(graph: RowGraph, runs: Sequence[Run], effort: float = EFFORT, regions: Sequence[Region] = ()) -> Plan:
    """The plan of a schedule. `effort` bounds the search for offsets (layout.py, exact_layout.py).

    Where rows would lie beyond the reach of a table of offsets, all tensors lie in one piece, in which each row still
    has a life of its own. It is one block where no regions are given, or where it does not fit them.
    """
    return lay_out(graph, stage_runs(graph, runs), effort, regions)


def lay_out(
    graph: RowGraph,
    staged: Staged,
    effort: float = EFFORT,
    regions: Sequence[Region] = (),
    quicker: Plan | None = None,
) -> Plan:
    """The plan of a schedule that has stages and tiles already, as plan_runs makes it.

    `quicker` is the plan of it in one block with no effort, which it begins with, if it was made already.
    """
    plan = _place(graph, staged, effort, regions, quicker)
    if any(b.row is not None and b.offset - plan.block_at(b.offset).start >= ADDRESSABLE_BYTES for b in plan.buffers):
        # Large tensors lie lowest, so that what is left alone would lie behind them: no tensor is.
        for stored in staged.tiles:
            stored.whole = True
        plan = _place(graph, staged, effort, regions)
    return plan


def live_pairs(staged: Staged) -> int:
    """How many pairs of rows are live together, each counted as if it lay alone: a layout's work goes with them."""
    lives = [(stored.births, stored.deaths) for stored in staged.tiles if not stored.whole]
    if not lives:
        return 0
    births, deaths = (np.sort(np.concatenate(sides)) for sides in zip(*lives, strict=True))
    begun, ended = np.arange(len(births)), np.searchsorted(deaths, births)
    return int((begun - ended).sum())


def needs_of_nodes(graph: RowGraph, staged: Staged) -> tuple[dict[int, NodeNeeds], int]:
    """What the graph's nodes need in a schedule beside their scratch, and the bytes that no layout is below."""
    pieces, parts = _Pieces(graph, staged), Parts(graph)
    steps, live, saved = step_bounds(pieces.requests, pieces.slides())
    needs: dict[int, NodeNeeds] = {}
    for ran in staged.stages:
        node = ran.stage.node
        if node is None:
            continue
        at = np.searchsorted(steps, ran.calls, side="right") - 1  # between these steps parts only end
        scratch = _scratch_bytes(parts, ran)
        rows = 0.0
        if not ran.layer:
            home = graph.homes[graph.nodes[ran.node].makes[0]] if graph.nodes[ran.node].makes else None
            wide = 1.0 if home is None else (ran.stage.columns[1] - ran.stage.columns[0]) / max(home.columns, 1)
            rows = (ran.steps[1] - ran.steps[0]) * wide / len(ran.calls)
        need = NodeNeeds(
            not ran.layer and not graph.nodes[ran.node].runs_whole,
            int(live[at].max()) - scratch,
            int((live + saved)[at].max()) - scratch,
            ((len(ran.calls), rows or graph.nodes[ran.node].steps),),
        )
        needs[node] = needs[node].joined(need) if node in needs else need
    return needs, int(live.max(initial=0))


def scratch_of_stages(graph: RowGraph, staged: Staged) -> list[int]:
    """Working memory of a step of each stage."""
    parts = Parts(graph)
    return [_scratch_bytes(parts, ran) for ran in staged.stages]


def _scratch_bytes(parts: Parts, ran: RanStage) -> int:
    if ran.layer:
        return parts.layer(ran.node)[1]
    return parts.scratch_bytes(ran.node, ran.steps, ran.stage.columns)


def _place(
    graph: RowGraph, staged: Staged, effort: float, regions: Sequence[Region], quicker: Plan | None = None
) -> Plan:
    pieces = _Pieces(graph, staged)
    slides = pieces.slides()
    start = None if quicker is None or quicker.arena_bytes > ADDRESSABLE_BYTES else pieces.offsets_in(quicker)
    exact_effort = EXACT_SHARE * effort if len(pieces.requests) <= EXACT_REQUESTS else max(effort - EFFORT, 0.0)
    placement = place_exactly(pieces.requests, place(pieces.requests, slides, effort, start), slides, exact_effort)
    plan = Plan(
        buffers=tuple(pieces.buffers_at(placement.offsets)),
        stages=tuple(ran.stage for ran in staged.stages),
        tiles=tuple(stored.tile for stored in staged.tiles),
        steps=tuple(staged.steps),
        arena_bytes=max(arena_bytes(pieces.requests, placement.offsets), 1),
        bound_bytes=placement.bound_bytes,
        views=tuple(View(*pair) for pair in graph.views.items()),
        guards=guards_of(graph.graph, [ran.stage for ran in staged.stages]),
    )
    return spread_plan(graph.graph, plan, pieces.requests, pieces.bodies, slides, regions, effort) if regions else plan


class _Pieces:
    """What a schedule keeps in memory, as bodies to place: tiles or their rows, and the own memory of stages."""

    def __init__(self, graph: RowGraph, staged: Staged) -> None:
        self._graph, self._staged, self._parts = graph, staged, Parts(graph)
        self.requests: list[Request] = []
        self._wholes: dict[int, int] = {}  # tile to request
        self._rows: dict[tuple[int, int], int] = {}  # tile and row, counted from the tile's first, to request
        self._memories: list[tuple[int, int, BufferKind]] = []  # request, stage, and what it is there for
        for index, stored in enumerate(staged.tiles):
            self._add_tile(index, stored)
        for index, ran in enumerate(staged.stages):
            self._add_memory(index, ran)

    @property
    def bodies(self) -> list[int]:
        """The request in which each buffer lies: a stage's memory has a buffer for each part, all else one."""
        counts = {request: len(self.requests[request].parts) for request, _, _ in self._memories}
        return [number for number in range(len(self.requests)) for _ in range(counts.get(number, 1))]

    def offsets_in(self, plan: Plan) -> list[int]:
        """The offset of each request in a plan of the same schedule."""
        offsets = [0] * len(self.requests)
        for request, buffer in zip(self.bodies, plan.buffers, strict=True):
            offsets[request] = buffer.offset
        return offsets

    def buffers_at(self, offsets: Sequence[int]) -> Iterator[Buffer]:
        """The buffers, with each request at its offset."""
        for index, stored in enumerate(self._staged.tiles):
            yield from self._buffers_of_tile(index, stored, offsets)
        for request, stage, kind in self._memories:
            for part in self.requests[request].parts:  # an accumulator has one
                life = part.first, part.last
                yield Buffer(f"{kind.value}_{stage}", kind, offsets[request], part.bytes, *life, stage=stage)

    def slides(self) -> tuple[Slide, ...]:
        """Rows that may lie over rows, and layers over layers, that nobody reads any more when they are written."""
        found: dict[tuple[int, int], int] = {}
        for ran in self._staged.stages:
            info = self._graph.nodes[ran.node]
            if len(ran.stage.outputs) == 1 and (ran.layer or (ran.single and not info.gathers)):
                for over, under, distance in self._slides_of(ran):
                    found[over, under] = max(distance, found.get((over, under), distance))
        return tuple(Slide(*pair, distance) for pair, distance in found.items())

    def _slides_of(self, ran: RanStage) -> Iterator[tuple[int, int, int]]:
        """The buffers and distances between them of all slides of a stage."""
        tiles = self._staged.tiles
        over = ran.stage.outputs[0]
        if ran.layer:
            distances = self._parts.layer(ran.node)[0]
        else:
            distances = self._parts.distances(ran.node, ran.steps, ran.stage.columns)
        for under in {i for i in ran.stage.inputs if i is not None}:
            home = self._graph.homes[tiles[under].tile.value]
            if home.value not in distances or home.kept:
                continue
            for number, call in enumerate(ran.calls):
                row = ran.steps[0] + number - tiles[over].tile.rows[0]
                if tiles[over].births[0 if ran.layer else row] != call:
                    continue  # another strip wrote a part of the row before
                for dying in np.flatnonzero(tiles[under].deaths == call).tolist():
                    above, shift = self._place_of_row(over, 0 if ran.layer else row)
                    below, depth = self._place_of_row(under, 0 if ran.layer else dying)
                    yield above, below, distances[home.value] + shift - depth
                    if ran.layer:
                        break

    def _place_of_row(self, tile: int, number: int) -> tuple[int, int]:
        """The buffer that holds a row of a tile, and how far behind its start the row lies."""
        stored = self._staged.tiles[tile]
        if stored.whole:
            return self._wholes[tile], number * stored.row_bytes
        return self._rows[tile, number], 0

    def _add_tile(self, index: int, stored: StoredTile) -> None:
        alignment = self._graph.homes[stored.tile.value].alignment
        if stored.whole:
            self._wholes[index] = len(self.requests)
            self.requests.append(Request(_parts_of(stored), alignment))
            return
        for number, (first, last) in enumerate(zip(stored.births.tolist(), stored.deaths.tolist(), strict=True)):
            self._rows[index, number] = len(self.requests)
            self.requests.append(Request.block(first, last, stored.row_bytes, alignment))

    def _buffers_of_tile(self, index: int, stored: StoredTile, offsets: Sequence[int]) -> Iterator[Buffer]:
        """One buffer for a tile in one piece, or one for each of its rows."""
        value = stored.tile.value
        kind = _kind_of(self._graph.homes[value])
        name = f"{kind.value}_{value}"
        if stored.whole:
            request = self._wholes[index]
            life = self.requests[request].first, self.requests[request].last
            yield Buffer(name, kind, offsets[request], stored.bytes, *life, value=value, tile=index)
            return
        for number, (first, last) in enumerate(zip(stored.births.tolist(), stored.deaths.tolist(), strict=True)):
            row, offset = stored.tile.rows[0] + number, offsets[self._rows[index, number]]
            name_of_row = f"{name}_row_{row}"
            yield Buffer(name_of_row, kind, offset, stored.row_bytes, first, last, value=value, tile=index, row=row)

    def _add_memory(self, index: int, ran: RanStage) -> None:
        """Scratch and accumulator of a stage: the same place at all of its steps."""
        size = _scratch_bytes(self._parts, ran)
        if size:
            self._memories.append((len(self.requests), index, BufferKind.SCRATCH))
            parts = tuple(Part(first, last, size) for first, last in _consecutive(ran.calls))
            self.requests.append(Request(parts, SCRATCH_ALIGNMENT))
        size = 0 if ran.layer else self._graph.nodes[ran.node].accumulator_bytes
        if size:
            self._memories.append((len(self.requests), index, BufferKind.ACCUMULATOR))
            self.requests.append(Request.block(ran.calls[0], ran.calls[-1], size, SCRATCH_ALIGNMENT))


def _kind_of(home: Home) -> BufferKind:
    if home.role is Role.STATE:
        return BufferKind.STATE
    if home.role is Role.INPUT:
        return BufferKind.INPUT
    return BufferKind.OUTPUT if home.kept else BufferKind.ACTIVATION


def _parts_of(stored: StoredTile) -> tuple[Part, ...]:
    """The rows of a tile in one piece; those that live equally long and lie side by side are one part."""
    lives = list(zip(stored.births.tolist(), stored.deaths.tolist(), strict=True))
    parts, start = [], 0
    for life, group in groupby(lives):
        count = len(list(group))
        parts.append(Part(*life, count * stored.row_bytes, start * stored.row_bytes))
        start += count
    return tuple(parts)


def _consecutive(calls: Sequence[int]) -> list[tuple[int, int]]:
    """The ranges (first, last) of calls that follow each other without another one in between."""
    ranges: list[tuple[int, int]] = []
    for call in calls:
        if ranges and ranges[-1][1] == call - 1:
            ranges[-1] = (ranges[-1][0], call)
        else:
            ranges.append((call, call))
    return ranges
