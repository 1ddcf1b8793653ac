"""A schedule of runs as a Plan: a buffer for each row that may lie alone, and which rows may lie over which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from thimble.compiler.ir.graph import Role
from thimble.compiler.plan.exact_layout import EFFORT, place_exactly
from thimble.compiler.plan.layout import Request, Slide, arena_bytes, place
from thimble.compiler.plan.plan import Buffer, BufferKind, Plan, View
from thimble.compiler.plan.row_graph import RowGraph
from thimble.compiler.plan.runs import Parts, Run
from thimble.compiler.plan.stages import RanStage, Staged, StoredTile, stage_runs

SCRATCH_ALIGNMENT = 8


def plan_runs(graph: RowGraph, runs: Sequence[Run], effort: float = EFFORT) -> Plan:
    """The plan of a schedule. `effort` bounds the exact search for offsets (exact_layout.py)."""
    staged = stage_runs(graph, runs)
    pieces = _Pieces(graph, staged)
    requests = [Request(b.first_step, b.last_step, b.bytes, a) for b, a in pieces.buffers]
    slides = pieces.slides()
    placement = place_exactly(requests, place(requests, slides), slides, effort)
    buffers = tuple(
        replace(buffer, offset=offset) for (buffer, _), offset in zip(pieces.buffers, placement.offsets, strict=True)
    )
    return Plan(
        buffers=buffers,
        stages=tuple(ran.stage for ran in staged.stages),
        tiles=tuple(stored.tile for stored in staged.tiles),
        steps=tuple(staged.steps),
        arena_bytes=max(arena_bytes(requests, placement.offsets), 1),
        bound_bytes=placement.bound_bytes,
        views=tuple(View(*pair) for pair in graph.views.items()),
    )


class _Pieces:
    """The buffers of a schedule with their alignments, not yet placed."""

    def __init__(self, graph: RowGraph, staged: Staged) -> None:
        self._graph, self._staged, self._parts = graph, staged, Parts(graph)
        self.buffers: list[tuple[Buffer, int]] = []
        self._wholes: dict[int, int] = {}  # tile to buffer
        self._rows: dict[tuple[int, int], int] = {}  # tile and row, counted from the tile's first, to buffer
        for index, stored in enumerate(staged.tiles):
            self._add_tile(index, stored)
        for index, ran in enumerate(staged.stages):
            self._add_memory(index, ran)

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
        home = self._graph.homes[stored.tile.value]
        kind = BufferKind.ACTIVATION
        if home.role is Role.STATE:
            kind = BufferKind.STATE
        elif home.role is Role.INPUT:
            kind = BufferKind.INPUT
        elif home.kept:
            kind = BufferKind.OUTPUT
        name = f"{kind.value}_{home.value}"
        if stored.whole:
            first, last = int(stored.births.min()), int(stored.deaths.max())
            size = stored.row_bytes * len(stored.births)
            buffer = Buffer(name, kind, 0, size, first, last, value=home.value, tile=index)
            self._wholes[index] = len(self.buffers)
            self.buffers.append(buffer)
            self.requests.append(Request(_parts_of(stored), home.alignment))
            return
        for number, (first, last) in enumerate(zip(stored.births.tolist(), stored.deaths.tolist(), strict=True)):
            row = stored.tile.rows[0] + number
            self._rows[index, number] = len(self.buffers)
            buffer = Buffer(
                f"{name}_row_{row}", kind, 0, stored.row_bytes, first, last, value=home.value, tile=index, row=row
            )
            self.buffers.append(buffer)
            self.requests.append(Request.block(first, last, stored.row_bytes, home.alignment))

    def _add_memory(self, index: int, ran: RanStage) -> None:
        """Scratch and accumulator of a stage: the same place at all of its steps."""
        info = self._graph.nodes[ran.node]
        if ran.layer:
            size = self._parts.layer(ran.node)[1]
        else:
            size = self._parts.scratch_bytes(ran.node, ran.steps, ran.stage.columns)
        if size:
            spans = _consecutive(ran.calls)
            first_buffer = len(self.requests)
            self.requests.append(Request(tuple(Part(*span, size) for span in spans), SCRATCH_ALIGNMENT))
            for first, last in spans:
                buffer = Buffer(f"scratch_{index}", BufferKind.SCRATCH, 0, size, first, last, stage=index)
                self.buffers.append(buffer)
        if info.accumulator_bytes and not ran.layer:
            first, last, size = ran.calls[0], ran.calls[-1], info.accumulator_bytes
            buffer = Buffer(f"accumulator_{index}", BufferKind.ACCUMULATOR, 0, size, first, last, stage=index)
            self.buffers.append((buffer, SCRATCH_ALIGNMENT))
