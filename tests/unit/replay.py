"""A plan replayed on symbols: every byte of the arena holds which byte of which value was written there last."""

from __future__ import annotations

from collections import Counter

import numpy as np

from thimble.compiler.ir.graph import Graph, Role
from thimble.compiler.ir.operator import Array, Span
from thimble.compiler.plan.plan import Plan, Stage

_VALUE_BITS = 32


def replay(graph: Graph, plan: Plan) -> None:
    """Run the steps of a plan; AssertionError where a step reads what is not there, or an output is not whole."""
    _Replay(graph, plan).run()


class _Replay:
    def __init__(self, graph: Graph, plan: Plan) -> None:
        self._graph, self._plan = graph, plan
        self._arena = np.full(plan.arena_bytes, -1, np.int64)
        self._homes = {view.value: view.base for view in plan.views}
        self._calls = Counter(step.stage for step in plan.steps)
        self._places = {(b.tile, b.row): b.offset for b in plan.buffers if b.tile is not None}

    def run(self) -> None:
        graph, plan = self._graph, self._plan
        pulled = {plan.tiles[s.outputs[0]].value for s in plan.stages if s.node is None}
        for tile, part in enumerate(plan.tiles):
            role = graph.values[part.value].role
            if role is Role.STATE or (role is Role.INPUT and part.value not in pulled):
                self._write(tile, part.rows, part.columns)
        for step in plan.steps:
            stage = plan.stages[step.stage]
            self._run(step.stage, stage, step.first, step.end)
        for value in graph.outputs:
            home = self._homes.get(value, value)
            tile = next(i for i, part in enumerate(plan.tiles) if part.value == home)
            assert (tile, None) in self._places, "an output must lie in one piece"
            self._check(tile, plan.tiles[tile].rows, plan.tiles[tile].columns, "the caller")

    def _run(self, index: int, stage: Stage, first: int, end: int) -> None:
        if stage.node is None:
            rows = (stage.rows[0] + first, stage.rows[0] + end)
            self._write(stage.outputs[0], rows, stage.columns)
            return
        site = self._graph.sites[stage.node]
        form = site.op.rows(site)
        once = self._calls[index] == 1
        whole = not stage.outputs or (stage.rows, stage.columns) == (
            self._plan.tiles[stage.outputs[0]].rows,
            self._plan.tiles[stage.outputs[0]].columns,
        )
        columns = None if whole else site.op.needed_columns(site, stage.columns)
        origin = 0 if form is None or form.accumulator_bytes else stage.rows[0]
        viewed = stage.outputs and self._plan.tiles[stage.outputs[0]].value in self._homes
        for position, tile in enumerate(stage.inputs):
            if tile is None or viewed or self._plan.tiles[tile].value in self._homes:
                continue
            part = self._plan.tiles[tile]
            wide = part.columns if columns is None else columns[position]
            assert wide is not None
            needs = form.needs[position] if form is not None else None
            at_once = needs is None or (once and form is not None and form.accumulator_bytes > 0)
            spans = [part.rows] if at_once or needs is None else needs[origin + first : origin + end]
            read, stored = site.input(position).type, self._graph.values[part.value].type
            if not at_once and (read.rows, read.row_bytes) != (stored.rows, stored.row_bytes):  # a view of other rows
                size, pitch = read.row_bytes, stored.row_bytes
                spans = [(low * size // pitch, -(-high * size // pitch)) for low, high in spans]
            for rows in spans:
                self._check(tile, rows, wide, f"stage {index} at steps {first} to {end}")
        if form is not None and form.accumulator_bytes and not once and end < form.steps:
            return
        for tile in () if viewed else stage.outputs:
            rows = stage.rows
            if form is not None and not form.accumulator_bytes:
                rows = (stage.rows[0] + first, stage.rows[0] + end)
            self._write(tile, rows, stage.columns)

    def _write(self, tile: int, rows: Span, columns: Span) -> None:
        for row in range(*rows):
            place, symbols = self._pixels(tile, row, columns)
            assert place >= 0
            assert place + len(symbols) <= len(self._arena)
            self._arena[place : place + len(symbols)] = symbols

    def _check(self, tile: int, rows: Span, columns: Span, who: str) -> None:
        for row in range(*rows):
            place, symbols = self._pixels(tile, row, columns)
            held = self._arena[place : place + len(symbols)]
            value = self._plan.tiles[tile].value
            assert (held == symbols).all(), f"{who} reads row {row} of value {value}, which is not there"

    def _pixels(self, tile: int, row: int, columns: Span) -> tuple[int, Array]:
        """Where a part of a row lies, and the symbols of its bytes."""
        part = self._plan.tiles[tile]
        type_ = self._graph.values[part.value].type
        pixel = type_.row_bytes // max(type_.columns, 1)
        pitch = pixel * (part.columns[1] - part.columns[0])
        shift = pixel * (columns[0] - part.columns[0])
        if (tile, row) in self._places:
            place = self._places[tile, row] + shift
        else:
            place = self._places[tile, None] + (row - part.rows[0]) * pitch + shift
        start = row * type_.row_bytes + pixel * columns[0]
        count = pixel * (columns[1] - columns[0])
        return place, (part.value << _VALUE_BITS) + start + np.arange(count)
