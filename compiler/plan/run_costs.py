"""The peak of live bytes of every run that ends at a node, without making any of their plans.

Among the nodes of a run [a, end) the order of the calls does not depend on a: whoever reads a row asks for it, and
what lies before the run is there already. So the calls of the longest run are simulated once for each end, and what
each node adds to the live bytes is summed up while a goes down; only the values that enter the run change with a.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from thimble.compiler.ir.graph import Role
from thimble.compiler.ir.operator import Array
from thimble.compiler.plan.cycles import CycleModel, cycle_model, extra_cycles
from thimble.compiler.plan.kernel_work import NodeWork
from thimble.compiler.plan.layout import most_shared
from thimble.compiler.plan.row_graph import Home, RowGraph
from thimble.compiler.plan.runs import LAYER, Parts, Pass, Recipe, aligned_row_bytes, part_row_bytes, passes_of
from thimble.compiler.plan.schedule import Demand, pull, rows_kept, steps_reading


@dataclass(frozen=True, slots=True, eq=False)
class NodePeaks:
    """Of each node of a run, in order: the most bytes live at its calls, how many of them its output shares with its
    inputs at most, its calls, and the rows that it makes in one."""

    live_bytes: Array
    shared_bytes: Array
    calls: Array
    rows: Array


@dataclass(frozen=True, slots=True)
class RunCost:
    """The run [first, end): its peak of live bytes with all that must be kept meanwhile, its cycles beyond
    those of whole layers, and the multiply-accumulates that it executes. `nodes` are there where they were asked for.
    """

    first: int
    peak_bytes: int
    cycles: int
    macs: int
    nodes: NodePeaks | None = None


class RunCosts:
    """Costs of runs of one graph."""

    def __init__(self, graph: RowGraph, cycles: CycleModel | None = None, by_node: bool = False) -> None:
        self._prices, self._by_node = _Prices(graph, cycles or cycle_model()), by_node
        self._graph, self._parts = graph, Parts(graph)
        homes = graph.homes.values()
        self._states = sum(home.rows * home.row_bytes for home in homes if home.role is Role.STATE)
        in_one_piece = [home for home in homes if home.whole]
        self._least = max((home.rows * home.row_bytes for home in in_one_piece), default=0)
        self._later = {home.value: _Later(graph, home) for home in homes}
        self._kept_at = _bytes_read_later(graph, self._later)

    def ending_at(self, lowest: int, end: int, recipe: Recipe) -> Iterator[RunCost]:
        """The costs of the runs [a, end), for a from end - 1 down to `lowest` as far as the recipe is possible."""
        found = passes_of(self._graph, lowest, end, recipe)
        if found is None:
            return
        timelines = [
            _Timeline(self._graph, self._parts, self._later, end, recipe, found.passes, number)
            for number in range(len(found.passes))
        ]
        first_possible = _first_possible(end, recipe, found.passes)
        passing, counted = int(self._kept_at[end]), set[int]()
        cycles = macs = 0
        called: list[tuple[int, float]] = []
        for node in range(end - 1, found.lowest - 1, -1):
            calls = [timeline.include(node) for timeline in timelines]
            passing -= self._leaving(node, end, counted)
            done = sum(
                self._parts.macs(node, part.spans[node], _columns(self._graph, part, node))
                for part in found.passes
                if node in part.spans
            )
            if recipe != LAYER:
                cycles += self._prices.extra(node, sum(calls), done)
            macs += done
            called.append((sum(calls), self._rows_done(node, found.passes) / max(sum(calls), 1)))
            if node <= first_possible:
                live = self._states + passing
                for timeline in timelines:
                    timeline.look()
                peak = live + max(timeline.peak for timeline in timelines)
                pieces = self._largest_operand(node) if recipe == LAYER else 0
                nodes = _node_peaks(timelines, node, end, live, called) if self._by_node else None
                yield RunCost(node, max(peak, self._least, pieces), cycles, macs, nodes)

    def _rows_done(self, node: int, passes: Sequence[Pass]) -> float:
        """Rows that a node makes in all passes; narrower ones count less."""
        makes, total = self._graph.nodes[node].makes, 0.0
        whole = self._graph.homes[makes[0]].columns if makes else 1
        for part in passes:
            if node in part.spans:
                rows, columns = part.spans[node], _columns(self._graph, part, node)
                total += (rows[1] - rows[0]) * (columns[1] - columns[0]) / max(whole, 1)
        return total

    def _largest_operand(self, node: int) -> int:
        """Bytes of the largest tensor that a whole layer needs in one piece, even where some of its rows are dead."""
        info = self._graph.nodes[node]
        homes = [self._graph.homes[value] for value in (*(read.home for read in info.reads), *info.makes)]
        return max((home.rows * home.row_bytes for home in homes), default=0)

    def _leaving(self, node: int, end: int, counted: set[int]) -> int:
        """Bytes that do not only pass by a run [.., end) any more when it gets a node: of values which that makes or
        reads, but for those that `counted` holds already."""
        info = self._graph.nodes[node]
        values = {*info.makes, *(read.home for read in info.reads)} - counted
        counted |= values
        return sum(self._later[value].bytes(end) for value in values if self._graph.homes[value].role is not Role.STATE)


def _node_peaks(
    timelines: Sequence[_Timeline], first: int, end: int, live: int, called: Sequence[tuple[int, float]]
) -> NodePeaks:
    """What is known of the nodes from `first` on, with `live` bytes that pass by; `called` begins with the last."""
    peaks, shared = np.zeros(end - first, np.int64), np.zeros(end - first, np.int64)
    for timeline in timelines:
        mine = timeline.nodes >= first
        at = timeline.nodes[mine] - first
        peaks[at] = np.maximum(peaks[at], timeline.node_peaks()[mine])
        shared[at] = np.maximum(shared[at], [timeline.shared_by(node + first) for node in at.tolist()])
    calls, rows = np.array(called[::-1], float).reshape(-1, 2).T
    return NodePeaks(peaks + live, shared, calls, rows)


class _Prices:
    """Cycles that nodes take by rows beyond those of whole layers; every question is answered once."""

    def __init__(self, graph: RowGraph, model: CycleModel) -> None:
        self._graph, self._model = graph, model
        self._work: dict[int, NodeWork] = {}
        self._known: dict[tuple[int, int, int], int] = {}

    def extra(self, node: int, calls: int, macs: int) -> int:
        """Of a node in `calls` calls that compute `macs`; reading an input takes the steps alone."""
        key = node, calls, macs
        if key not in self._known:
            index = self._graph.nodes[node].node
            if index is None:
                self._known[key] = round(calls * self._model.step)
            else:
                if node not in self._work:
                    self._work[node] = NodeWork.of(self._graph.graph.sites[index], self._graph.rounding)
                self._known[key] = extra_cycles(self._model, self._work[node], calls, macs)
        return self._known[key]


class _Later:
    """Which rows of a home are read by a node or one behind it: all that the readers from each one on read."""

    def __init__(self, graph: RowGraph, home: Home) -> None:
        self._home, self._graph = home, graph
        self.readers = graph.readers.get(home.value, ())
        self._rows: list[Array] = []

    def rows(self, node: int) -> Array:
        """For each row, whether it is still read by `node` or one behind it; all are where the home is kept."""
        if self._home.kept:
            return np.ones(self._home.rows, bool)
        return self._suffixes()[bisect_left(self.readers, node)]

    def bytes(self, node: int) -> int:
        """Bytes that these rows take."""
        home = self._home
        return int(np.count_nonzero(self.rows(node))) * aligned_row_bytes(home, (0, home.columns))

    def _suffixes(self) -> list[Array]:
        """The rows by number of the first reader that counts; none is read behind the last."""
        if not self._rows:
            read = np.zeros(self._home.rows, bool)
            self._rows = [read]
            for reader in reversed(self.readers):
                for other in self._graph.nodes[reader].reads:
                    if other.home == self._home.value:
                        read = read | (other.last >= 0)
                self._rows.append(read)
            self._rows.reverse()
        return self._rows


def _bytes_read_later(graph: RowGraph, later: Mapping[int, _Later]) -> Array:
    """For each node, the bytes of values made before it that it or one behind it reads; states do not count."""
    changes = np.zeros(len(graph.nodes) + 2, np.int64)
    for value, home in graph.homes.items():
        first = graph.makers.get(value, -1) + 1
        if home.role is Role.STATE:
            continue
        ends = [reader + 1 for reader in later[value].readers if reader >= first]
        for begin, end in pairwise((first, *ends, len(graph.nodes) + 1)):
            if begin < end:
                size = later[value].bytes(begin)
                changes[begin] += size
                changes[end] -= size
    return np.cumsum(changes)


def _first_possible(end: int, recipe: Recipe, passes: Sequence[Pass]) -> int:
    """The latest node with which such a run makes sense: some node is computed in parts or twice, or it has two."""
    if recipe.gate is not None:
        return max(passes[0].spans.keys() & passes[1].spans.keys())
    return end - 2 if recipe.repeats else end - 1


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
    """The calls of one pass, and the live bytes at each as far as nodes are included: those of `nodes`.

    `peak` is the most that was live when it was last looked at.
    """

    def __init__(
        self,
        graph: RowGraph,
        parts: Parts,
        later: Mapping[int, _Later],
        end: int,
        recipe: Recipe,
        passes: Sequence[Pass],
        number: int,
    ) -> None:
        self._graph, self._parts, self._later, self._end = graph, parts, later, end
        self._before, self._part, self._after = passes[:number], passes[number], passes[number + 1 :]
        self._layers = recipe == LAYER
        calls = pull(graph, Demand(min(self._part.spans), end, recipe.rows, self._part.spans))
        table = np.array(calls, np.int64).reshape(-1, 3)
        self._nodes, self._counts = table[:, 0], table[:, 2] - table[:, 1]
        self._length = len(calls)
        self._order = np.argsort(self._nodes, kind="stable")
        self.nodes, self._firsts = np.unique(self._nodes[self._order], return_index=True)
        self._at_calls = np.zeros(self._length, np.int64)
        self.peak = 0
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
            last = np.full(len(read.last), span[0]) if self._layers else rows_kept(read, span, len(calls) == 1)
            (rows,) = np.nonzero(last >= 0)
            entering = self._enter(read.home)
            when = at[last[rows] - span[0]]
            entering.deaths[rows] = np.maximum(entering.deaths[rows], when)
            if len(info.makes) == 1 and (self._layers or (len(calls) == len(at) and not info.gathers)):
                self._note_sharing(node, read.home, rows, when, calls)
            self._update_sharing(read.home)
        return len(calls)

    def look(self) -> None:
        """See anew how many bytes are live in the pass, of values that are made in the run or enter it."""
        changes = self._changes.copy()
        for value, entering in self._entering.items():
            home = self._graph.homes[value]
            ends = np.where(entering.later, self._length, entering.deaths)
            ends = ends[ends >= 0]
            size = aligned_row_bytes(home, (0, home.columns))
            changes[0] += size * len(ends)
            changes -= size * np.bincount(ends + 1, minlength=len(changes))
        self._at_calls = np.cumsum(changes)[: self._length] + self._points
        self.peak = int(self._at_calls.max(initial=0))

    def node_peaks(self) -> Array:
        """The most bytes that are live at the calls of each of `nodes`."""
        return np.maximum.reduceat(self._at_calls[self._order], self._firsts)

    def shared_by(self, node: int) -> int:
        """The most bytes that a node's output shares with its inputs."""
        return int(self._sharing[node].saved.max(initial=0)) if node in self._sharing else 0

    def _enter(self, value: int) -> _Entering:
        if value not in self._entering:
            later = self._later[value].rows(self._end).copy()
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
