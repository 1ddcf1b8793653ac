"""An independent check of a plan: replays its steps over a model of the arena in which every byte has an owner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from thimble.compiler.ir.graph import Graph, Node, Role, Site
from thimble.compiler.ir.operator import Array, RowForm, Span
from thimble.compiler.plan.access import columns_read, last_readers, last_readers_in_row, rows_read
from thimble.compiler.plan.plan import BufferKind, Plan, Stage, Step
from thimble.compiler.plan.stamped_arena import PlanError, StampedArena, StampedTile

__all__ = ["PlanError", "check_plan"]


def check_plan(graph: Graph, plan: Plan) -> None:
    """Raise PlanError if a step of the plan does not find what it needs, whole and where the plan says that it lies.

    Its own code: it trusts the offsets and sizes only, not the lifetimes, and computes the rows and columns under
    windows from their geometry (those of other operators it takes from their row forms). Every write stamps its bytes
    with the row of the tile that they hold from then on; reading a row whose bytes carry any other stamp means that
    they were overwritten, or never written.
    """
    _Replay(graph, plan).run()


@dataclass(frozen=True, slots=True)
class _Operand:
    """An input of a stage that is in memory: its position, its tile, and which contents of the tile are meant.

    `view_row_bytes` is the size of its rows where it is a view whose rows are not those of its base; else 0.
    """

    position: int
    tile: StampedTile
    version: int
    view_row_bytes: int


class _Replay:
    def __init__(self, graph: Graph, plan: Plan) -> None:
        self._graph, self._plan = graph, plan
        self._bases = {view.value: view.base for view in plan.views}
        self._makers = {value: step for step, node in enumerate(graph.nodes) for value in node.outputs}
        self._writers = self._find_writers()
        self._check_views()
        self._form = cache(lambda node: graph.sites[node].op.rows(graph.sites[node]))
        self._part = cache(self._find_part)
        self._last = cache(self._find_last_in_row)
        self._in_place = cache(lambda index: self._part(index).may_overlap(by_rows=True))
        self._calls = Counter(step.stage for step in plan.steps)
        self._summing = {b.stage for b in plan.buffers if b.kind is BufferKind.ACCUMULATOR}
        self._apart = {b.tile for b in plan.buffers if b.row is not None}
        self._by_rows = [stage.node is not None and self._runs_by_rows(i) for i, stage in enumerate(plan.stages)]
        self._arena = StampedArena(graph, plan, self._split_tiles())
        self._homes = {t.value: t for t in self._arena.tiles.values() if self._is_full(t)}
        self._done = [0] * len(plan.stages)
        self._sums: dict[int, int] = {}  # the stamp of each stage's accumulator

    def run(self) -> None:
        graph, arena = self._graph, self._arena
        read = {tile for stage in self._plan.stages if stage.node is None for tile in stage.outputs}
        for tile in arena.tiles.values():
            arena.renew(tile)
            role = graph.values[tile.value].role
            if role is Role.STATE or (role is Role.INPUT and tile.index not in read):
                if not self._is_full(tile) or not tile.in_one_piece:
                    raise PlanError(f"value {tile.value} is handed over whole and does not lie in one piece")
                arena.write_all(tile)
        for number, step in enumerate(self._plan.steps):
            self._run_step(number, step)
        for index in range(len(self._plan.stages)):
            if self._done[index] not in self._lengths(index):
                raise PlanError(f"stage {index} is not run to its end")
        for value in (*graph.outputs, *graph.states):
            tile = self._home(self._bases.get(value, value))
            version = len(self._writers.get(tile.value, ()))
            if not tile.in_one_piece or version >= len(tile.versions) or not arena.holds_all(tile, version):
                raise PlanError(f"the caller reads value {value}, whose bytes were overwritten or never written")
        self._check_interface()

    def _run_step(self, number: int, step: Step) -> None:
        if not 0 <= step.stage < len(self._plan.stages):
            raise PlanError(f"step {number} runs a stage that does not exist")
        index, stage = step.stage, self._plan.stages[step.stage]
        lengths = self._lengths(index)
        if step.first != self._done[index] or not step.first <= step.end <= max(lengths):
            raise PlanError(f"step {number} is not the next one of stage {index}")
        self._done[index] = step.end
        if stage.node is None:
            self._read_input(stage, step)
            return
        node, what = self._graph.nodes[stage.node], f"step {number}"
        views = [value for value in node.outputs if value in self._bases]
        if views:
            self._look(what, stage, node, views)
            return
        operands = list(self._operands(what, index))
        outputs = self._outputs(what, stage, self._by_rows[index])
        if self._by_rows[index]:
            self._run_rows(what, step, operands, outputs)
        else:
            self._run_layer(what, index, operands, outputs)
        for position in node.op.state_inputs:
            state = node.inputs[position] if position < len(node.inputs) else None
            if state is not None:
                self._write_state(what, stage.node, state)

    # Layers: everything is read, everything is written.

    def _run_layer(self, what: str, index: int, operands: list[_Operand], outputs: list[StampedTile]) -> None:
        """What it needs must be whole before, and until it has been read for the last time.

        So scratch must not touch an operand; an output may, where every byte that it takes has been read by then.
        """
        arena, stage = self._arena, self._plan.stages[index]
        assert stage.node is not None
        self._check_layer(what, stage, operands, outputs)

        def check_operands(when: str) -> None:
            for operand in operands:
                if not arena.holds_all(operand.tile, operand.version):
                    raise PlanError(f"{what}{when} reads value {operand.tile.value}, whose bytes were overwritten")

        check_operands("")
        scratch = arena.scratch.get(index)
        stamp = None if scratch is None else arena.stamp(scratch)
        check_operands(" with its scratch")
        for tile in outputs:
            arena.write_all(tile)
        site = self._graph.sites[stage.node]
        if not site.may_overlap(by_rows=False):
            check_operands(", whose kernel writes before it has read all,")
        for operand in operands:
            if not arena.holds_all(operand.tile, operand.version):
                last = last_readers(site, operand.position) if len(outputs) == 1 else None
                shift = operand.tile.starts[0] - outputs[0].starts[0]
                self._check_overlap(what, site, operand, last, shift, site.ahead_bytes())
        for tile in outputs:
            if not arena.holds_all(tile, -1):
                raise PlanError(f"{what} writes value {tile.value} over another output")
        if scratch is not None and stamp is not None and not arena.is_intact(scratch, stamp):
            raise PlanError(f"the scratch of {what} overlaps an output")

    def _check_layer(self, what: str, stage: Stage, operands: list[_Operand], outputs: list[StampedTile]) -> None:
        for tile in (*outputs, *(operand.tile for operand in operands)):
            if not tile.in_one_piece or not self._is_full(tile):
                raise PlanError(f"{what} needs value {tile.value} whole and in one piece")
        if outputs and not self._is_all(stage):
            raise PlanError(f"{what} runs a part of node {stage.node} that cannot be split")

    # Rows: each reads some rows of its operands and makes one row of the outputs, or adds to an accumulator.

    def _run_rows(self, what: str, step: Step, operands: list[_Operand], outputs: list[StampedTile]) -> None:
        index, stage = step.stage, self._plan.stages[step.stage]
        assert stage.node is not None
        form = self._form(stage.node)
        assert form is not None
        arena = self._arena
        sums, scratch = arena.accumulators.get(index), arena.scratch.get(index)
        if sums is not None and step.first == 0:
            self._sums[index] = arena.stamp(sums)
        all_reads: list[tuple[_Operand, int, Span]] = []
        for number in range(step.first, step.end):
            row = number if form.accumulator_bytes else stage.rows[0] + number
            reads = list(self._reads(what, stage, form, operands, row))
            self._check_reads(what, reads)
            all_reads += reads
            stamp = None if scratch is None else arena.stamp(scratch)
            self._check_reads(f"{what} with its scratch", reads)
            self._check_sums(what, index)
            if form.accumulator_bytes == 0:
                self._write_rows(what, index, reads, outputs, row)
            elif number == form.steps - 1:
                for made in range(*stage.rows):
                    self._write_rows(what, index, reads, outputs, made)
                if not all(self._has_made(stage, tile, made) for tile in outputs for made in range(*stage.rows)):
                    raise PlanError(f"{what} writes rows of its output over each other")
            self._check_sums(what, index)
            if scratch is not None and stamp is not None and not arena.is_intact(scratch, stamp):
                raise PlanError(f"the scratch of {what} overlaps an output")
        if not self._in_place(index):
            self._check_reads(f"{what}, whose kernel writes before it has read all,", all_reads)

    def _reads(
        self, what: str, stage: Stage, form: RowForm, operands: list[_Operand], row: int
    ) -> Iterator[tuple[_Operand, int, Span]]:
        """The rows of the operands, and their columns, that a row of the output or of an accumulated input needs."""
        assert stage.node is not None
        site = self._graph.sites[stage.node]
        for operand in operands:
            tile, columns = operand.tile, self._columns(stage, operand.position)
            rows = rows_read(site, form, operand.position, row)
            if operand.view_row_bytes and rows:
                size, columns = operand.view_row_bytes, tile.columns
                rows = range(rows[0] * size // tile.row_bytes, -(-(rows[-1] + 1) * size // tile.row_bytes))
            for needed in rows:
                if columns is None or not (_lies_in(columns, tile.columns) and tile.rows[0] <= needed < tile.rows[1]):
                    raise PlanError(f"{what} needs row {needed} of value {tile.value}, which tile {tile.index} lacks")
                yield operand, needed, columns

    def _columns(self, stage: Stage, position: int) -> Span | None:
        assert stage.node is not None
        site, form = self._graph.sites[stage.node], self._form(stage.node)
        everything = (0, site.input(position).type.columns)
        summing = form is not None and form.accumulator_bytes > 0
        columns = everything if summing else columns_read(site, position, stage.columns)
        if columns == everything:  # of a view, which may part its row in other columns than its base does
            value = self._graph.nodes[stage.node].inputs[position]
            assert value is not None
            return (0, self._graph.values[self._bases.get(value, value)].type.columns)
        return columns

    def _check_reads(self, what: str, reads: list[tuple[_Operand, int, Span]]) -> None:
        for operand, row, columns in reads:
            if not self._arena.holds(operand.tile, row, columns, operand.version):
                value = operand.tile.value
                raise PlanError(f"{what} reads row {row} of value {value}, whose bytes were overwritten or not written")

    def _check_sums(self, what: str, index: int) -> None:
        buffer = self._arena.accumulators.get(index)
        if buffer is not None and not self._arena.is_intact(buffer, self._sums[index]):
            raise PlanError(f"{what} finds its accumulator overwritten")

    def _write_rows(
        self, what: str, index: int, reads: list[tuple[_Operand, int, Span]], outputs: list[StampedTile], row: int
    ) -> None:
        """Write a row of each output; it may lie over rows of operands where those bytes have been read by then."""
        arena, stage = self._arena, self._plan.stages[index]
        intact = [arena.holds(operand.tile, r, columns, operand.version) for operand, r, columns in reads]
        for tile in outputs:
            arena.write(tile, row, self._made_columns(stage, tile.value))
        for (operand, r, columns), was in zip(reads, intact, strict=True):
            if was and not arena.holds(operand.tile, r, columns, operand.version):
                known = len(outputs) == 1 and not operand.view_row_bytes
                last = self._last(index, operand.position) if known else None
                start = arena.row_start(outputs[0], row, stage.columns)
                shift = arena.row_start(operand.tile, r, columns) - start
                self._check_overlap(what, self._part(index), operand, last, shift)
        for tile in outputs:
            if not self._has_made(stage, tile, row):
                raise PlanError(f"{what} writes value {tile.value} over another output")

    def _has_made(self, stage: Stage, tile: StampedTile, row: int) -> bool:
        return self._arena.holds(tile, row, self._made_columns(stage, tile.value), -1)

    def _find_part(self, index: int) -> Site:
        """The node of a stage on the part of the output that the stage makes."""
        stage = self._plan.stages[index]
        assert stage.node is not None
        site = self._graph.sites[stage.node]
        return site if self._is_all(stage) else site.op.restricted(site, stage.rows, stage.columns)

    def _find_last_in_row(self, index: int, position: int) -> Array | None:
        return last_readers_in_row(self._part(index), position)

    # What both have in common.

    def _check_overlap(
        self, what: str, site: Site, operand: _Operand, last: Array | None, shift: int, ahead: int = 0
    ) -> None:
        """Replay reads and writes of an output that overwrites an operand which begins `shift` bytes behind it.

        `last` tells for each element of the operand the last element of the output that reads it; writes may come
        `ahead` bytes sooner than in the order of the output.
        """
        what = f"{what} writes its output over input {operand.position}"
        if self._graph.values[operand.tile.value].role is Role.STATE:
            raise PlanError(f"{what}, which must stay")
        if last is None:
            raise PlanError(f"{what}, but nobody knows when {site.op.name} has read it")
        read, written = site.input(operand.position).type, site.output().type
        sizes = read.dtype.alignment, written.dtype.alignment
        if read.dtype is not written.dtype and 1 not in sizes:
            raise PlanError(f"{what}, and C lets the compiler reorder accesses of such types")
        firsts = shift + read.first_bytes(np.arange(len(last)))  # each element's place, seen from the output's start
        touched = firsts + sizes[0] > 0
        writers = written.first_elements(np.maximum(firsts - ahead, 0))
        if (touched & (writers < last)).any():
            raise PlanError(f"{what} before that has been read")

    def _read_input(self, stage: Stage, step: Step) -> None:
        """The callback hands over whole rows of an input, or a part of their columns."""
        for index in stage.outputs:
            tile = self._tile(index)
            if self._graph.values[tile.value].role is not Role.INPUT:
                raise PlanError(f"value {tile.value} is no input and cannot be read by rows")
            self._check_part(stage, tile)
            for row in range(stage.rows[0] + step.first, stage.rows[0] + step.end):
                self._arena.write(tile, row, stage.columns)

    def _look(self, what: str, stage: Stage, node: Node, views: list[int]) -> None:
        """A node that does nothing: its output is taken for the bytes that its input has now."""
        if list(node.outputs) != views:
            raise PlanError(f"{what} computes, but one of its outputs is said to be a view")
        source = node.inputs[node.op.copied_input or 0]
        assert source is not None
        assert stage.node is not None
        tile = self._home(self._bases.get(source, source))
        version = self._version(tile.value, source, stage.node)
        if version >= len(tile.versions) or not self._arena.holds_all(tile, version):
            raise PlanError(f"{what} reads value {source}, whose bytes were overwritten")

    def _write_state(self, what: str, node: int, state: int) -> None:
        """The contents of a state are new: who looked at the old ones must not read them any more."""
        tile = self._home(state)
        if len(tile.versions) - 1 != sum(writer < node for writer in self._writers[state]):
            raise PlanError(f"{what} writes state {state} out of turn")
        self._arena.renew(tile)
        self._arena.write_all(tile)

    def _operands(self, what: str, index: int) -> Iterator[_Operand]:
        stage = self._plan.stages[index]
        assert stage.node is not None
        node = self._graph.nodes[stage.node]
        if len(stage.inputs) != len(node.inputs):
            raise PlanError(f"{what} has another number of inputs than its node")
        for position, (value, tile_index) in enumerate(zip(node.inputs, stage.inputs, strict=True)):
            if value is None or self._graph.values[value].role is Role.CONSTANT:
                continue
            base = self._bases.get(value, value)
            if tile_index is None or self._plan.tiles[tile_index].value not in (value, base):
                raise PlanError(f"{what} reads something else than value {value}")
            tile = self._tile(tile_index) if self._plan.tiles[tile_index].value == base else self._home(base)
            view_row_bytes = 0 if self._has_same_rows(value, base) else self._graph.values[value].type.row_bytes
            if self._by_rows[index] and view_row_bytes and not (tile.in_one_piece and self._is_full(tile)):
                raise PlanError(
                    f"{what} reads rows of value {value}, but those of value {base} are others and lie apart"
                )
            version = self._version(base, value, stage.node)
            if version >= len(tile.versions):
                raise PlanError(f"{what} reads state {base} before it is written")
            yield _Operand(position, tile, version, view_row_bytes)

    def _outputs(self, what: str, stage: Stage, by_rows: bool) -> list[StampedTile]:
        assert stage.node is not None
        node = self._graph.nodes[stage.node]
        if [self._plan.tiles[i].value for i in stage.outputs] != list(node.outputs):
            raise PlanError(f"{what} writes something else than the outputs of its node")
        tiles = [self._tile(i) for i in stage.outputs]
        for tile in tiles if by_rows else ():
            self._check_part(stage, tile)
        return tiles

    def _made_columns(self, stage: Stage, value: int) -> Span:
        """The columns of an output that a stage makes: its own are those of the first one, the others may have more."""
        if stage.columns == self._extent(self._plan.tiles[stage.outputs[0]].value)[1]:
            return self._extent(value)[1]
        return stage.columns

    def _check_part(self, stage: Stage, tile: StampedTile) -> None:
        columns = self._made_columns(stage, tile.value)
        if not _lies_in(stage.rows, tile.rows) or not _lies_in(columns, tile.columns):
            raise PlanError(f"tile {tile.index} has no room for the rows and columns that a stage writes")

    def _version(self, base: int, value: int, node: int) -> int:
        """How often a state was written before a node reads it, or looked at it through a view; 0 for all others."""
        looked = node if value == base else self._first_look(base, value)
        return sum(writer < looked for writer in self._writers.get(base, ()))

    def _first_look(self, base: int, view: int) -> int:
        """The node that made the view, or the first of a chain of views."""
        maker = self._makers[view]
        source = self._graph.nodes[maker].inputs[self._graph.nodes[maker].op.copied_input or 0]
        return maker if source == base or source is None else self._first_look(base, source)

    def _lengths(self, index: int) -> tuple[int, ...]:
        """How many steps a stage may have in all: rows that it makes or reads, or one for a node that runs whole."""
        stage = self._plan.stages[index]
        rows = stage.rows[1] - stage.rows[0]
        if stage.node is None:
            return (rows,)
        form = self._form(stage.node)
        if self._by_rows[index] and form is not None:
            return (form.steps,) if form.accumulator_bytes else (rows,)
        return (1, rows) if form is None else (rows, form.steps)

    def _runs_by_rows(self, index: int) -> bool:
        """Whether a stage runs the row form of its node: unless it is all of it in one step on tiles in one piece."""
        plan, stage = self._plan, self._plan.stages[index]
        assert stage.node is not None
        if self._form(stage.node) is None or any(v in self._bases for v in self._graph.nodes[stage.node].outputs):
            return False
        tiles = {i for i in (*stage.inputs, *stage.outputs) if i is not None}
        parts = any((plan.tiles[i].rows, plan.tiles[i].columns) != self._extent(plan.tiles[i].value) for i in tiles)
        several = self._calls[index] != 1 or index in self._summing
        return bool(tiles & self._apart) or parts or several or not self._is_all(stage)

    def _split_tiles(self) -> dict[int, set[int]]:
        """The tiles that are read or written by rows, each with the columns at which that begins or ends."""
        split: dict[int, set[int]] = {}
        for index, stage in enumerate(self._plan.stages):
            if stage.node is not None and not self._by_rows[index]:
                continue
            for tile in stage.outputs:
                split.setdefault(tile, set()).update(self._made_columns(stage, self._plan.tiles[tile].value))
            for position, operand in enumerate(stage.inputs):
                if operand is not None:
                    base = self._plan.tiles[operand].value
                    split.setdefault(operand, set()).update(self._columns(stage, position) or ())
                    split[operand].update((0, self._graph.values[base].type.columns))
        return {i: {c for c in cuts if _lies_in((c, c), self._plan.tiles[i].columns)} for i, cuts in split.items()}

    def _tile(self, index: int) -> StampedTile:
        if index not in self._arena.tiles:
            raise PlanError(f"tile {index} has no place")
        return self._arena.tiles[index]

    def _home(self, value: int) -> StampedTile:
        """The tile that holds all of a value."""
        if value not in self._homes:
            raise PlanError(f"value {value} is nowhere whole")
        return self._homes[value]

    def _extent(self, value: int) -> tuple[Span, Span]:
        type_ = self._graph.values[value].type
        return (0, type_.rows), (0, type_.columns)

    def _is_full(self, tile: StampedTile) -> bool:
        return (tile.rows, tile.columns) == self._extent(tile.value)

    def _is_all(self, stage: Stage) -> bool:
        """Whether a stage makes all of its node's outputs."""
        assert stage.node is not None
        outputs = self._graph.nodes[stage.node].outputs
        return not outputs or (stage.rows, stage.columns) == self._extent(outputs[0])

    def _has_same_rows(self, value: int, base: int) -> bool:
        a, b = self._graph.values[value].type, self._graph.values[base].type
        return (a.rows, a.row_bytes) == (b.rows, b.row_bytes) and (a.columns == b.columns or a.rows == 1)

    def _find_writers(self) -> dict[int, list[int]]:
        """The nodes that write each state."""
        writers: dict[int, list[int]] = {}
        for step, node in enumerate(self._graph.nodes):
            for position in node.op.state_inputs:
                state = node.inputs[position] if position < len(node.inputs) else None
                if state is not None:
                    writers.setdefault(state, []).append(step)
        return writers

    def _check_views(self) -> None:
        """Each view must repeat the bytes of its base, and nothing may be a view twice."""
        values = self._graph.values
        if len(self._bases) != len(self._plan.views):
            raise PlanError("a value is said to be several views")
        for view, base in self._bases.items():
            node = self._graph.nodes[self._makers[view]] if view in self._makers else None
            if node is None or node.op.copied_input is None:
                raise PlanError(f"step {self._makers.get(view)} computes, but its output is said to be a view")
            source = node.inputs[node.op.copied_input]
            if source is None or base in self._bases or self._bases.get(source, source) != base:
                raise PlanError(f"value {view} is said to be a view of value {base}, which it does not repeat")
            if values[view].type.bytes != values[base].type.bytes:
                raise PlanError(f"value {view} is said to be a view of another size")

    def _check_interface(self) -> None:
        """An output that is a view must not share its bytes with an input, a state or another output."""
        graph, bases = self._graph, self._bases
        homes = [bases.get(value, value) for value in graph.outputs]
        for value, home in zip(graph.outputs, homes, strict=True):
            if value in bases and (homes.count(home) > 1 or graph.values[home].role is not Role.ACTIVATION):
                raise PlanError(f"output {value} shares its memory with another part of the interface")


def _lies_in(inner: Span, outer: Span) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]
