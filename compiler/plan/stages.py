"""From runs to tiles, stages and steps, and when each row of a tile is written and read for the last time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from thimble.compiler.ir.graph import Role
from thimble.compiler.ir.operator import Array, Span
from thimble.compiler.plan.plan import Stage, Step, Tile
from thimble.compiler.plan.row_graph import RowGraph
from thimble.compiler.plan.runs import LAYER, Pass, Run, passes_of
from thimble.compiler.plan.schedule import Demand, pull, rows_kept


@dataclass(slots=True)
class StoredTile:
    """A tile and the life of each of its rows, by number from the tile's first row: steps, both included."""

    tile: Tile
    whole: bool
    births: Array
    deaths: Array
    row_bytes: int

    @property
    def bytes(self) -> int:
        """Bytes of all rows."""
        return self.row_bytes * len(self.births)


@dataclass(slots=True)
class RanStage:
    """A stage of a node of the row graph, the node's steps that it makes, and the plan's steps in which it runs.

    `layer` tells whether it runs as a whole layer, on tensors in one piece; `single` whether each call makes one row.
    """

    stage: Stage
    node: int
    steps: Span
    layer: bool
    calls: list[int] = field(default_factory=list)
    single: bool = True


@dataclass(slots=True)
class Staged:
    """A complete schedule without places."""

    tiles: list[StoredTile]
    stages: list[RanStage]
    steps: list[Step]


def stage_runs(graph: RowGraph, runs: Sequence[Run]) -> Staged:
    """The schedule of runs that together cover all nodes, in order."""
    builder = _Builder(graph)
    for run in runs:
        builder.add(run)
    return builder.finish()


class _Builder:
    def __init__(self, graph: RowGraph) -> None:
        self._graph = graph
        self._made = Staged([], [], [])
        self._whole: dict[int, int] = {}  # the tile that holds a value whole
        self._read: list[tuple[int, Array, Array]] = []  # tile, rows, the step that reads each
        for value in graph.homes:
            if value not in graph.makers:
                self._whole[value] = self._new_tile(value, None, None)

    def add(self, run: Run) -> None:
        graph = self._graph
        found = passes_of(graph, run.first, run.end, run.recipe)
        assert found is not None, "no run can be computed this way"
        assert found.lowest <= run.first, "this run cannot be computed this way"
        kept = self._outlasting(run, found.passes)
        for part in found.passes:
            spans = {node: part.spans[node] for node in sorted(part.spans) if node >= run.first}
            local: dict[int, int] = {}
            stages: dict[int, int] = {}
            for node in spans:
                for value in graph.nodes[node].makes:
                    if value in kept:
                        self._whole.setdefault(value, -1)
                        if self._whole[value] < 0:
                            self._whole[value] = self._new_tile(value, None, None)
                        local[value] = self._whole[value]
                    else:
                        rows = None if graph.nodes[node].gathers else spans[node]
                        local[value] = self._new_tile(value, rows, part.columns[value])
                stages[node] = self._new_stage(node, spans[node], part, local, layer=run.recipe == LAYER)
            demand = Demand(run.first, run.end, run.recipe.rows, spans)
            self._run(pull(graph, demand), stages)

    def finish(self) -> Staged:
        """The schedule, with the lives of all tiles known."""
        made, end = self._made, max(len(self._made.steps) - 1, 0)
        for tile, rows, steps in self._read:
            np.maximum.at(made.tiles[tile].deaths, rows, steps)
        for stored in made.tiles:
            home = self._graph.homes[stored.tile.value]
            stored.births[stored.births < 0] = 0
            np.maximum(stored.deaths, stored.births, out=stored.deaths)
            if home.kept:
                stored.deaths[:] = end
            if home.role is Role.STATE:
                stored.births[:] = 0
        return made

    def _outlasting(self, run: Run, passes: Sequence[Pass]) -> set[int]:
        """Values that are read behind the run or in another pass than the one that makes them."""
        graph, kept = self._graph, set()
        for number, part in enumerate(passes):
            for node in part.spans:
                for value in graph.nodes[node].makes:
                    elsewhere = any(
                        reader in other.spans and node not in other.spans
                        for reader in graph.readers.get(value, ())
                        for other in passes[number + 1 :]
                    )
                    if elsewhere or graph.last_reader(value) >= run.end or not run.recipe.repeats:
                        kept.add(value)
        return kept

    def _new_tile(self, value: int, rows: Span | None, columns: Span | None) -> int:
        home = self._graph.homes[value]
        tile = Tile(value, rows or (0, home.rows), columns or (0, home.columns))
        count = tile.rows[1] - tile.rows[0]
        size = home.row_bytes * (tile.columns[1] - tile.columns[0]) // max(home.columns, 1)
        unknown = np.full(count, -1, np.int64)
        self._made.tiles.append(StoredTile(tile, home.whole, unknown, unknown.copy(), size))
        return len(self._made.tiles) - 1

    def _new_stage(self, node: int, steps: Span, part: Pass, local: dict[int, int], layer: bool) -> int:
        graph, info = self._graph, self._graph.nodes[node]
        inputs: tuple[int | None, ...] = ()
        if info.node is not None:
            operands = [None if v is None else graph.views.get(v, v) for v in graph.graph.nodes[info.node].inputs]
            inputs = tuple(
                None if v is None or v not in graph.homes else local.get(v, self._whole.get(v)) for v in operands
            )
        outputs = tuple(local[value] for value in info.makes)
        tile = self._made.tiles[outputs[0]].tile if outputs else None
        rows = steps if tile is not None and not info.gathers else tile.rows if tile else (0, 1)
        columns = part.columns[info.makes[0]] if info.makes else (0, 1)
        self._made.stages.append(RanStage(Stage(info.node, inputs, outputs, rows, columns), node, steps, layer))
        for index in (*inputs, *outputs):
            if layer and index is not None:
                self._made.tiles[index].whole = True
        return len(self._made.stages) - 1

    def _run(self, calls: Sequence[tuple[int, int, int]], stages: dict[int, int]) -> None:
        start = len(self._made.steps)
        for offset, (node, first, end) in enumerate(calls):
            stage = self._made.stages[stages[node]]
            stage.calls.append(start + offset)
            stage.single &= end - first == 1
            origin = stage.steps[0]
            span = stage.stage.rows if self._graph.nodes[node].runs_whole else (first - origin, end - origin)
            self._made.steps.append(Step(stages[node], *span))
        for node, number in stages.items():
            self._note_lives(node, self._made.stages[number], calls, start)

    def _note_lives(self, node: int, stage: RanStage, calls: Sequence[tuple[int, int, int]], start: int) -> None:
        """Note when the rows that a stage makes are born, and when it reads each row for the last time."""
        info = self._graph.nodes[node]
        spans = [(first, end) for other, first, end in calls if other == node]
        at = np.repeat(np.array(stage.calls, np.int64), [end - first for first, end in spans])
        for index in stage.stage.outputs:
            tile = self._made.tiles[index]
            rows = np.arange(tile.tile.rows[1] - tile.tile.rows[0])
            born = np.full(len(rows), at[-1])
            if not info.gathers:
                rows, born = np.arange(*stage.steps) - tile.tile.rows[0], at
            unborn = tile.births[rows] < 0
            tile.births[rows[unborn]] = born[unborn]
        by_value = {self._made.tiles[i].tile.value: i for i in stage.stage.inputs if i is not None}
        for read in info.reads:
            index = by_value[read.home]
            last = (
                np.full(len(read.last), stage.steps[0])
                if stage.layer
                else rows_kept(read, stage.steps, len(spans) == 1)
            )
            (rows,) = np.nonzero(last >= 0)
            origin = self._made.tiles[index].tile.rows[0]
            self._read.append((index, rows - origin, at[last[rows] - stage.steps[0]]))
