"""The peak of live bytes of every run that ends at a node, without making any of their plans.

Among the nodes of a run [a, end) the order of the calls does not depend on a: whoever reads a row asks for it, and
what lies before the run is there already. So the calls of the longest run are simulated once for each end, and what
each node adds to the live bytes is summed up while a goes down; only the values that enter the run change with a.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.graph import Role
from thimble.compiler.ir.operator import Array
from thimble.compiler.plan.cycles import extra_cycles
from thimble.compiler.plan.layout import most_shared
from thimble.compiler.plan.row_graph import RowGraph
from thimble.compiler.plan.runs import LAYER, Parts, Pass, Recipe, aligned_row_bytes, part_row_bytes, passes_of
from thimble.compiler.plan.schedule import Demand, pull, steps_reading


@dataclass(frozen=True, slots=True)
class RunCost:
    """The run [first, end): its peak of live bytes with all that must be kept meanwhile, its work beyond one call a
    node, and the multiply-accumulates that it executes."""

    first: int
    peak_bytes: int
    cycles: int
    macs: int


class RunCosts:
    """Costs of runs of one graph."""

    def __init__(self, graph: RowGraph) -> None:
        self._graph, self._parts = graph, Parts(graph)
        homes = graph.homes.values()
        self._states = sum(home.rows * home.row_bytes for home in homes if home.role is Role.STATE)
        in_one_piece = [home for home in homes if home.whole]
        self._least = max((home.rows * home.row_bytes for home in in_one_piece), default=0)
        self._lasting = {home.value: graph.last_reader(home.value) for home in homes if home.role is not Role.STATE}

    def ending_at(self, lowest: int, end: int, recipe: Recipe) -> Iterator[RunCost]:
        """The costs of the runs [a, end), for a from end - 1 down to `lowest` as far as the recipe is possible."""
        found = passes_of(self._graph, lowest, end, recipe)
        if found is None:
            return
        timelines = [
            _Timeline(self._graph, self._parts, end, recipe, found.passes, number)
            for number in range(len(found.passes))
        ]
        first_possible = _first_possible(end, recipe, found.passes)
        cycles = macs = 0
        for node in range(end - 1, found.lowest - 1, -1):
            calls = [timeline.include(node) for timeline in timelines]
            done = sum(
                self._parts.macs(node, part.spans[node], _columns(self._graph, part, node))
                for part in found.passes
                if node in part.spans
            )
            cycles += extra_cycles(self._graph.nodes[node], sum(calls), done)
            macs += done
            if node <= first_possible:
                kept = self._states + self._passing(node, end, timelines[0])
                peak = kept + max(timeline.peak() for timeline in timelines)
                pieces = self._largest_operand(node) if recipe == LAYER else 0
                yield RunCost(node, max(peak, self._least, pieces), cycles, macs)

    def _largest_operand(self, node: int) -> int:
        """Bytes of the largest tensor that a whole layer needs in one piece, even where some of its rows are dead."""
        info = self._graph.nodes[node]
        homes = [self._graph.homes[value] for value in (*(read.home for read in info.reads), *info.makes)]
        return max((home.rows * home.row_bytes for home in homes), default=0)

    def _passing(self, first: int, end: int, timeline: _Timeline) -> int:
        """Bytes of values that are made before a run, are read behind it and play no part in it."""
        total = 0
        for value, last in self._lasting.items():
            if last >= end and self._graph.makers.get(value, -1) < first and not timeline.enters(value):
                home = self._graph.homes[value]
                rows = int(rows_read_from(self._graph, value, end).sum())
                total += rows * aligned_row_bytes(home, (0, home.columns))
        return total


def _first_possible(end: int, recipe: Recipe, passes: Sequence[Pass]) -> int:
    """The latest node with which such a run makes sense: some node is computed in parts or twice, or it has two."""
    if recipe.gate is not None:
        return max(passes[0].spans.keys() & passes[1].spans.keys())
    return end - 2 if recipe.repeats else end - 1


def rows_read_from(graph: RowGraph, value: int, node: int) -> Array:
    """For each row of a home, whether it is still read by `node` or one behind it."""
    home = graph.homes[value]
    if home.kept:
        return np.ones(home.rows, bool)
    read = np.zeros(home.rows, bool)
    for reader in graph.readers.get(value, ()):
        if reader >= node:
            for other in graph.nodes[reader].reads:
                if other.home == value:
                    read |= other.last >= 0
    return read


def _columns(graph: RowGraph, part: Pass, node: int) -> tuple[int, int]:
    makes = graph.nodes[node].makes
    return part.columns[makes[0]] if makes else (0, 1)


@dataclass(slots=True)
class _Entering:
    """Rows of a home that are there before a pass, or were found so as far as nodes were included.

    `deaths` is the last call of the pass that reads each row, -1 where none does; `later` tells which rows are needed
    behind the pass.
    """

    deaths: Array
    later: Array


@dataclass(slots=True)
class _SharedOperand:
    """Rows of an operand, the calls `when` and `turns` of a node in which it reads each for the last time, and how
    many bytes what it makes there may share with a row that nobody reads any more."""

    entering: _Entering
    rows: Array
    when: Array
    turns: Array
    shared: int


@dataclass(slots=True)
class _Sharing:
    """The calls of a node, the bytes that are saved at each, and the operands over which its output may lie."""

    calls: Array
    saved: Array
    operands: dict[int, _SharedOperand]


class _Timeline:
    """The calls of one pass, and the live bytes at each as far as nodes are included."""

    def __init__(
        self, graph: RowGraph, parts: Parts, end: int, recipe: Recipe, passes: Sequence[Pass], number: int
    ) -> None:
        self._graph, self._parts, self._end = graph, parts, end
        self._before, self._part, self._after = passes[:number], passes[number], passes[number + 1 :]
        self._layers = recipe == LAYER
        calls = pull(graph, Demand(min(self._part.spans), end, recipe.rows, self._part.spans))
        table = np.array(calls, np.int64).reshape(-1, 3)
        self._nodes, self._counts = table[:, 0], table[:, 2] - table[:, 1]
        self._length = len(calls)
        self._changes = np.zeros(self._length + 2, np.int64)
        self._points = np.zeros(self._length, np.int64)
        self._entering: dict[int, _Entering] = {}
        self._sharing: dict[int, _Sharing] = {}
        self._sharers: dict[int, list[int]] = {}  # nodes whose output may lie over a value

    def include(self, node: int) -> int:
        """Add what a node does to the live bytes; the number of its calls."""
        info = self._graph.nodes[node]
        for part in self._after:
            if node in part.spans:
                for read in info.reads:
                    self._enter(read.home).later |= steps_reading(read, part.spans[node]) >= 0
        if node not in self._part.spans:
            if not any(node in part.spans for part in self._before):
                for value in info.makes:
                    self._entering.pop(value, None)  # made by a later pass
            return 0
        span = self._part.spans[node]
        columns = _columns(self._graph, self._part, node)
        (calls,) = np.nonzero(self._nodes == node)
        at = np.repeat(calls, self._counts[calls])
        for value in info.makes:
            self._make(node, value, span, at)
        if self._layers:
            self._points[calls] += self._parts.layer(node)[1]
        else:
            self._live(at[:1], at[-1:], info.accumulator_bytes)
            self._points[calls] += self._parts.scratch_bytes(node, span, columns)
        for read in info.reads:
            last = np.full(len(read.last), span[0]) if self._layers else steps_reading(read, span)
            (rows,) = np.nonzero(last >= 0)
            entering = self._enter(read.home)
            when = at[last[rows] - span[0]]
            entering.deaths[rows] = np.maximum(entering.deaths[rows], when)
            if len(info.makes) == 1 and (self._layers or (len(calls) == len(at) and not info.gathers)):
                self._note_sharing(node, read.home, rows, when, calls)
            self._update_sharing(read.home)
        return len(calls)

    def peak(self) -> int:
        """The most live bytes of the pass, of values that are made in the run or enter it."""
        changes = self._changes.copy()
        for value, entering in self._entering.items():
            home = self._graph.homes[value]
            ends = np.where(entering.later, self._length, entering.deaths)
            ends = ends[ends >= 0]
            size = aligned_row_bytes(home, (0, home.columns))
            changes[0] += size * len(ends)
            changes -= size * np.bincount(ends + 1, minlength=len(changes))
        return int((np.cumsum(changes)[: self._length] + self._points).max(initial=0))

    def enters(self, value: int) -> bool:
        """Whether a value plays a part in the pass as far as nodes are included."""
        return value in self._entering

    def _enter(self, value: int) -> _Entering:
        if value not in self._entering:
            later = rows_read_from(self._graph, value, self._end)
            self._entering[value] = _Entering(np.full(len(later), -1), later)
        return self._entering[value]

    def _make(self, node: int, value: int, span: tuple[int, int], at: Array) -> None:
        """A node of the pass makes a value: from now on its rows are there from when they are made."""
        home, gathers = self._graph.homes[value], self._graph.nodes[node].gathers
        entering = self._enter(value)
        del self._entering[value]
        rows = np.arange(home.rows) if gathers else np.arange(*span)
        births = np.full(len(rows), at[-1]) if gathers else at
        leaves = self._graph.last_reader(value) >= self._end
        carried = any(
            node not in part.spans and reader in part.spans
            for part in self._after
            for reader in self._graph.readers.get(value, ())
        )
        columns = (0, home.columns) if leaves or carried else self._part.columns[value]
        deaths = np.maximum(entering.deaths[rows], births)
        if leaves or carried:
            deaths = np.where(entering.later[rows], self._length, deaths)
        else:
            entering.later[:] = False
            self._update_sharing(value)
        earlier = np.zeros(home.rows, bool)
        if leaves:
            for part in self._before:
                if node in part.spans:
                    earlier[slice(*part.spans[node])] = True
            others = earlier.copy()
            others[rows] = False
            here = np.flatnonzero(others & entering.later)
            self._live(np.zeros(len(here), np.int64), np.full(len(here), self._length), self._size(value, columns))
            births = np.where(earlier[rows], 0, births)
        self._live(births, deaths, self._size(value, columns))

    def _size(self, value: int, columns: tuple[int, int]) -> int:
        return aligned_row_bytes(self._graph.homes[value], columns)

    def _live(self, births: Array, deaths: Array, size: int) -> None:
        count = len(self._changes)
        self._changes += size * np.bincount(births, minlength=count)
        self._changes -= size * np.bincount(deaths + 1, minlength=count)

    def _note_sharing(self, node: int, value: int, rows: Array, when: Array, calls: Array) -> None:
        """The bytes that a row made by a node may share with a row of an operand, should that die there."""
        columns = _columns(self._graph, self._part, node)
        over, under = self._graph.homes[self._graph.nodes[node].makes[0]], self._graph.homes[value]
        made = part_row_bytes(over, columns)
        read = part_row_bytes(under, self._part.columns.get(value, (0, under.columns)))
        if self._layers:
            distance = self._parts.layer(node)[0].get(value)
            made, read = made * over.rows, read * under.rows
        else:
            distance = self._parts.distances(node, self._part.spans[node], columns).get(value)
        if distance is None:
            return
        shared = most_shared(made, read, -(-distance // over.alignment) * over.alignment)
        if shared > 0:
            sharing = self._sharing.setdefault(node, _Sharing(calls, np.zeros(len(calls), np.int64), {}))
            turns = np.searchsorted(calls, when)
            sharing.operands[value] = _SharedOperand(self._entering[value], rows, when, turns, shared)
            self._sharers.setdefault(value, []).append(node)

    def _update_sharing(self, value: int) -> None:
        """See anew which rows of a value die where rows are made that may lie over them."""
        for node in self._sharers.get(value, ()):
            sharing = self._sharing[node]
            self._points[sharing.calls] += sharing.saved
            sharing.saved[:] = 0
            for operand in sharing.operands.values():
                entering = operand.entering
                dying = (entering.deaths[operand.rows] == operand.when) & ~entering.later[operand.rows]
                np.maximum.at(sharing.saved, operand.turns[dying], operand.shared)
            self._points[sharing.calls] -= sharing.saved
