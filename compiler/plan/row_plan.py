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
        self._rows: dict[tuple[int, int], int] = {}  # tile and row to buffer
        for index, stored in enumerate(staged.tiles):
            self._add_tile(index, stored)
        for index, ran in enumerate(staged.stages):
            self._add_memory(index, ran)

    def slides(self) -> tuple[Slide, ...]:
        """Rows that may lie over rows: where a call makes one row, the operand's row is read for the last time."""
        found = []
        for ran in self._staged.stages:
            info = self._graph.nodes[ran.node]
            if ran.single and not info.gathers and len(ran.stage.outputs) == 1:
                found += self._slides_of(ran)
        return tuple(found)

    def _slides_of(self, ran: RanStage) -> list[Slide]:
        info, tiles = self._graph.nodes[ran.node], self._staged.tiles
        over = ran.stage.outputs[0]
        inputs = {tiles[i].tile.value: i for i in ran.stage.inputs if i is not None}
        distances = self._parts.distances(ran.node, ran.steps, ran.stage.columns)
        found = []
        for read in info.reads:
            under = inputs[read.home]
            distance = distances.get(read.home)
            stored = tiles[under]
            if distance is None or stored.whole or tiles[over].whole or distance >= tiles[over].row_bytes:
                continue
            for number, call in enumerate(ran.calls):
                row = ran.steps[0] + number
                if tiles[over].births[row - tiles[over].tile.rows[0]] != call:
                    continue
                for dying in np.flatnonzero(stored.deaths == call) + stored.tile.rows[0]:
                    found.append(Slide(self._rows[over, row], self._rows[under, int(dying)], distance))
        return found

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
            self.buffers.append((buffer, home.alignment))
            return
        for number, (first, last) in enumerate(zip(stored.births.tolist(), stored.deaths.tolist(), strict=True)):
            row = stored.tile.rows[0] + number
            self._rows[index, row] = len(self.buffers)
            buffer = Buffer(
                f"{name}_row_{row}", kind, 0, stored.row_bytes, first, last, value=home.value, tile=index, row=row
            )
            self.buffers.append((buffer, home.alignment))

    def _add_memory(self, index: int, ran: RanStage) -> None:
        """Scratch and accumulator of a stage: the same place at all of its steps."""
        info = self._graph.nodes[ran.node]
        first, last = ran.calls[0], ran.calls[-1]
        size = self._parts.scratch_bytes(ran.node, ran.steps, ran.stage.columns)
        if size:
            buffer = Buffer(f"scratch_{index}", BufferKind.SCRATCH, 0, size, first, last, stage=index)
            self.buffers.append((buffer, SCRATCH_ALIGNMENT))
        if info.accumulator_bytes:
            size = info.accumulator_bytes
            buffer = Buffer(f"accumulator_{index}", BufferKind.ACCUMULATOR, 0, size, first, last, stage=index)
            self.buffers.append((buffer, SCRATCH_ALIGNMENT))
