"""An independent check of a plan: replays its steps over a model of the arena in which every byte has an owner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.graph import Graph, Node, Role, Site
from thimble.compiler.ir.operator import Array, RowForm, Span
from thimble.compiler.ir.types import DType
from thimble.compiler.plan.access import last_readers, rows_read
from thimble.compiler.plan.plan import Plan, Stage, Step
from thimble.compiler.plan.plan_facts import PlanFacts, lies_in
from thimble.compiler.plan.stamped_arena import PlanError, StampedArena, StampedTile

__all__ = ["PlanError", "check_plan"]


def check_plan(graph: Graph, plan: Plan) -> None:
    """Raise PlanError if a step of the plan does not find what it needs, whole and where the plan says that it lies.

    Its own code: it trusts the offsets and sizes only, not the lifetimes, and computes the rows and columns under
    windows from their geometry (those of other operators it takes from their row forms). Every write stamps its bytes
    with the row of the tile that they hold from then on; reading a row whose bytes carry any other stamp means that
    they were overwritten, or never written. A plan with guards is replayed for the ways its flags may stand.
    """
    facts = PlanFacts(graph, plan)
    for answers in _answers(plan):
        _Replay(graph, plan, facts, answers).run()


def _answers(plan: Plan) -> Iterator[dict[int, bool]]:
    """Values of all flags: all alike, and one unlike the others.

    That is enough: what goes wrong is that a step does not find what another one made, or what a third one wrote over
    it. Three flags at most say which of these run, and of three, two are alike or all are.
    """
    flags = sorted({guard.flag for guard in plan.guards})
    for answer in (True, False) if flags else (True,):
        yield dict.fromkeys(flags, answer)
        for flag in flags if len(flags) > 1 else ():
            yield dict.fromkeys(flags, answer) | {flag: not answer}


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
    """One inference in which the flags of guards stand as `answers` say."""

    def __init__(self, graph: Graph, plan: Plan, facts: PlanFacts, answers: dict[int, bool]) -> None:
        self._graph, self._plan = graph, plan
        self._facts, self._answers = facts, answers
        self._guards = {guard.stage: guard for guard in plan.guards}
        self._arena = StampedArena(graph, plan, facts.split_tiles())
        self._homes = {t.value: t for t in self._arena.tiles.values() if self._facts.is_full(t)}
        self._done = [0] * len(plan.stages)
        self._sums: dict[int, int] = {}  # the stamp of each stage's accumulator

    def run(self) -> None:
        graph, arena = self._graph, self._arena
        read = {tile for stage in self._plan.stages if stage.node is None for tile in stage.outputs}
        for tile in arena.tiles.values():
            arena.renew(tile)
            role = graph.values[tile.value].role
            if role is Role.STATE or (role is Role.INPUT and tile.index not in read):
                if not self._facts.is_full(tile) or not tile.in_one_piece:
                    raise PlanError(f"value {tile.value} is handed over whole and does not lie in one piece")
                arena.write_all(tile)
        for number, step in enumerate(self._plan.steps):
            self._run_step(number, step)
        for index in range(len(self._plan.stages)):
            if self._done[index] not in self._facts.lengths(index):
                raise PlanError(f"stage {index} is not run to its end")
        for value in (*graph.outputs, *graph.states):
            tile = self._home(self._facts.bases.get(value, value))
            version = len(self._facts.writers.get(tile.value, ()))
            if not tile.in_one_piece or version >= len(tile.versions) or not arena.holds_all(tile, version):
                raise PlanError(f"the caller reads value {value}, whose bytes were overwritten or never written")
        self._facts.check_interface()

    def _run_step(self, number: int, step: Step) -> None:
        if not 0 <= step.stage < len(self._plan.stages):
            raise PlanError(f"step {number} runs a stage that does not exist")
        index, stage = step.stage, self._plan.stages[step.stage]
        lengths = self._facts.lengths(index)
        if step.first != self._done[index] or not step.first <= step.end <= max(lengths):
            raise PlanError(f"step {number} is not the next one of stage {index}")
        self._done[index] = step.end
        if not self._runs(f"step {number}", index):
            return
        if stage.node is None:
            self._read_input(stage, step)
            return
        node, what = self._graph.nodes[stage.node], f"step {number}"
        views = [value for value in node.outputs if value in self._facts.bases]
        if views:
            self._look(what, stage, node, views)
            return
        operands = list(self._operands(what, index))
        outputs = self._outputs(what, stage, self._facts.by_rows[index])
        if self._facts.by_rows[index]:
            self._run_rows(what, step, operands, outputs)
        else:
            self._run_layer(what, index, operands, outputs)
        for position in node.op.state_inputs:
            state = node.inputs[position] if position < len(node.inputs) else None
            if state is not None:
                self._write_state(what, stage.node, state)

    def _runs(self, what: str, index: int) -> bool:
        """Whether a stage runs, by its guard: the flag must be there, one bool, at each of its steps."""
        guard = self._guards.get(index)
        if guard is None:
            return True
        type_ = self._graph.values[guard.flag].type
        tile = self._home(self._facts.bases.get(guard.flag, guard.flag))
        if type_.dtype is not DType.BOOL or type_.elements != 1 or self._facts.by_rows[index]:
            raise PlanError(f"{what} is guarded by value {guard.flag}, which is no single bool, or runs by rows")
        if not self._arena.holds_all(tile, 0):
            raise PlanError(f"{what} is guarded by value {guard.flag}, whose byte was overwritten or never written")
        return self._answers[guard.flag] is guard.wanted

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
            if not tile.in_one_piece or not self._facts.is_full(tile):
                raise PlanError(f"{what} needs value {tile.value} whole and in one piece")
        if outputs and not self._facts.is_all(stage):
            raise PlanError(f"{what} runs a part of node {stage.node} that cannot be split")

    # Rows: each reads some rows of its operands and makes one row of the outputs, or adds to an accumulator.

    def _run_rows(self, what: str, step: Step, operands: list[_Operand], outputs: list[StampedTile]) -> None:
        index, stage = step.stage, self._plan.stages[step.stage]
        assert stage.node is not None
        form = self._facts.form(stage.node)
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
        if not self._facts.in_place(index):
            self._check_reads(f"{what}, whose kernel writes before it has read all,", all_reads)

    def _reads(
        self, what: str, stage: Stage, form: RowForm, operands: list[_Operand], row: int
    ) -> Iterator[tuple[_Operand, int, Span]]:
        """The rows of the operands, and their columns, that a row of the output or of an accumulated input needs."""
        assert stage.node is not None
        site = self._graph.sites[stage.node]
        for operand in operands:
            tile, columns = operand.tile, self._facts.columns(stage, operand.position)
            rows = rows_read(site, form, operand.position, row)
            if operand.view_row_bytes and rows:
                size, columns = operand.view_row_bytes, tile.columns
                rows = range(rows[0] * size // tile.row_bytes, -(-(rows[-1] + 1) * size // tile.row_bytes))
            for needed in rows:
                if columns is None or not (lies_in(columns, tile.columns) and tile.rows[0] <= needed < tile.rows[1]):
                    raise PlanError(f"{what} needs row {needed} of value {tile.value}, which tile {tile.index} lacks")
                yield operand, needed, columns

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
            arena.write(tile, row, self._facts.made_columns(stage, tile.value))
        for (operand, r, columns), was in zip(reads, intact, strict=True):
            if was and not arena.holds(operand.tile, r, columns, operand.version):
                known = len(outputs) == 1 and not operand.view_row_bytes
                last = self._facts.last(index, operand.position) if known else None
                start = arena.row_start(outputs[0], row, stage.columns)
                shift = arena.row_start(operand.tile, r, columns) - start
                late = self._facts.late(index)
                self._check_overlap(what, self._facts.part(index), operand, last, shift, late=late)
        for tile in outputs:
            if not self._has_made(stage, tile, row):
                raise PlanError(f"{what} writes value {tile.value} over another output")

    def _has_made(self, stage: Stage, tile: StampedTile, row: int) -> bool:
        return self._arena.holds(tile, row, self._facts.made_columns(stage, tile.value), -1)

    # What both have in common.

    def _check_overlap(
        self, what: str, site: Site, operand: _Operand, last: Array | None, shift: int, ahead: int = 0, late: int = 0
    ) -> None:
        """Replay reads and writes of an output that overwrites an operand which begins `shift` bytes behind it.

        `last` tells for each element of the operand the last element of the output that reads it; writes may come
        `ahead` bytes sooner than in the order of the output, or when `late` more of its elements are computed.
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
        if (touched & (writers + late < last)).any():
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
        tile = self._home(self._facts.bases.get(source, source))
        version = self._facts.version(tile.value, source, stage.node)
        if version >= len(tile.versions) or not self._arena.holds_all(tile, version):
            raise PlanError(f"{what} reads value {source}, whose bytes were overwritten")

    def _write_state(self, what: str, node: int, state: int) -> None:
        """The contents of a state are new: who looked at the old ones must not read them any more."""
        tile = self._home(state)
        if len(tile.versions) - 1 != sum(writer < node for writer in self._facts.writers[state]):
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
            if value is None or self._graph.values[value].role is Role.CONSTANT or self._is_passed_over(node, position):
                continue
            base = self._facts.bases.get(value, value)
            if tile_index is None or self._plan.tiles[tile_index].value not in (value, base):
                raise PlanError(f"{what} reads something else than value {value}")
            tile = self._tile(tile_index) if self._plan.tiles[tile_index].value == base else self._home(base)
            view_row_bytes = 0 if self._facts.has_same_rows(value, base) else self._graph.values[value].type.row_bytes
            if self._facts.by_rows[index] and view_row_bytes and not (tile.in_one_piece and self._facts.is_full(tile)):
                raise PlanError(
                    f"{what} reads rows of value {value}, but those of value {base} are others and lie apart"
                )
            version = self._facts.version(base, value, stage.node)
            if version >= len(tile.versions):
                raise PlanError(f"{what} reads state {base} before it is written")
            yield _Operand(position, tile, version, view_row_bytes)

    def _is_passed_over(self, node: Node, position: int) -> bool:
        """Whether the node reads another one of two inputs, since a flag stands as it does."""
        if node.op.alternatives is None or position not in node.op.alternatives or node.inputs[0] is None:
            return False
        answer = self._answers.get(node.inputs[0])
        return answer is not None and position != node.op.alternatives[0 if answer else 1]

    def _outputs(self, what: str, stage: Stage, by_rows: bool) -> list[StampedTile]:
        assert stage.node is not None
        node = self._graph.nodes[stage.node]
        if [self._plan.tiles[i].value for i in stage.outputs] != list(node.outputs):
            raise PlanError(f"{what} writes something else than the outputs of its node")
        tiles = [self._tile(i) for i in stage.outputs]
        for tile in tiles if by_rows else ():
            self._check_part(stage, tile)
        return tiles

    def _check_part(self, stage: Stage, tile: StampedTile) -> None:
        columns = self._facts.made_columns(stage, tile.value)
        if not lies_in(stage.rows, tile.rows) or not lies_in(columns, tile.columns):
            raise PlanError(f"tile {tile.index} has no room for the rows and columns that a stage writes")

    def _tile(self, index: int) -> StampedTile:
        if index not in self._arena.tiles:
            raise PlanError(f"tile {index} has no place")
        return self._arena.tiles[index]

    def _home(self, value: int) -> StampedTile:
        """The tile that holds all of a value."""
        if value not in self._homes:
            raise PlanError(f"value {value} is nowhere whole")
        return self._homes[value]
