"""The live bytes at the calls of one pass of a run, node after node from its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.operator import Array, Span
from thimble.compiler.plan.later import Later
from thimble.compiler.plan.layout import most_shared
from thimble.compiler.plan.row_graph import RowGraph
from thimble.compiler.plan.runs import Parts, Pass, aligned_row_bytes, part_row_bytes
from thimble.compiler.plan.schedule import Call, rows_kept, steps_reading


@dataclass(frozen=True, slots=True, eq=False)
class NodeCalls:
    """The `calls` of a node by number, the call `at` which each of its steps is made, and for each home that it reads,
    the rows of it and `when` it reads each of them for the last time."""

    calls: Array
    at: Array
    reads: tuple[tuple[Array, Array], ...]


class PassCalls:
    """The calls of a pass in order; passes that make the same steps of the same nodes have the same ones."""

    def __init__(self, graph: RowGraph, calls: Sequence[Call], spans: Mapping[int, Span], layers: bool) -> None:
        self._graph, self._spans, self.layers = graph, spans, layers
        self.length = len(calls)
        table = np.array(calls, np.int64).reshape(-1, 3)
        self._counts = table[:, 2] - table[:, 1]
        self._order = np.argsort(table[:, 0], kind="stable")
        self.nodes, self._firsts = np.unique(table[self._order, 0], return_index=True)
        self._known: dict[int, NodeCalls] = {}

    def of(self, node: int) -> NodeCalls:
        """The calls of a node, which must be one of `nodes`."""
        if node not in self._known:
            number = int(np.searchsorted(self.nodes, node))
            first, end = self._firsts[number], self._firsts[number + 1 :][:1]
            calls = self._order[first : int(end[0]) if len(end) else None]
            span, at = self._spans[node], np.repeat(calls, self._counts[calls])
            reads = []
            for read in self._graph.nodes[node].reads:
                last = np.full(len(read.last), span[0]) if self.layers else rows_kept(read, span, len(calls) == 1)
                (rows,) = np.nonzero(last >= 0)
                reads.append((rows, at[last[rows] - span[0]]))
            self._known[node] = NodeCalls(calls, at, tuple(reads))
        return self._known[node]

    def most(self, amounts: Array) -> Array:
        """The most of an amount for each call at those of each of `nodes`."""
        return np.asarray(np.maximum.reduceat(amounts[self._order], self._firsts))


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


class Timeline:
    """The calls of one pass, and the live bytes at each as far as nodes are included: those of `nodes`.

    `peak` is the most that was live when it was last looked at, and `least` what will be at least, whatever else is
    included.
    """

    def __init__(
        self, parts: Parts, later: Mapping[int, Later], end: int, passes: Sequence[Pass], number: int, calls: PassCalls
    ) -> None:
        self._graph, self._parts, self._later, self._end = parts.graph, parts, later, end
        self._before, self._part, self._after = passes[:number], passes[number], passes[number + 1 :]
        self._calls, self._length = calls, calls.length
        self._at_calls = np.zeros(self._length, np.int64)
        self.peak = self.least = self._most_shared = 0
        self._changes = np.zeros(self._length + 2, np.int64)
        self._points = np.zeros(self._length, np.int64)
        self._entering: dict[int, _Entering] = {}
        self._sharing: dict[int, _Sharing] = {}
        self._sharers: dict[int, list[int]] = {}  # nodes whose output may lie over a value

    @property
    def nodes(self) -> Array:
        """The nodes that run in the pass."""
        return self._calls.nodes

    def include(self, node: int) -> int:
        """Add what a node does to the live bytes; the number of its calls."""
        info = self._graph.nodes[node]
        for span in {part.spans[node] for part in self._after if node in part.spans}:
            for read in info.reads:
                self._enter(read.home).later |= steps_reading(read, span) >= 0
        if node not in self._part.spans:
            if not any(node in part.spans for part in self._before):
                for value in info.makes:
                    self._entering.pop(value, None)  # made by a later pass
            return 0
        span, ran = self._part.spans[node], self._calls.of(node)
        for value in info.makes:
            self._make(node, value, span, ran.at)
        if self._calls.layers:
            self._points[ran.calls] += self._parts.layer(node)[1]
        else:
            self._live(ran.at[:1], ran.at[-1:], info.accumulator_bytes)
            self._points[ran.calls] += self._parts.scratch_bytes(node, span, self._part.columns_of(self._graph, node))
        shares = len(info.makes) == 1 and (self._calls.layers or (len(ran.calls) == len(ran.at) and not info.gathers))
        for read, (rows, when) in zip(info.reads, ran.reads, strict=True):
            entering = self._enter(read.home)
            entering.deaths[rows] = np.maximum(entering.deaths[rows], when)
            if shares:
                self._note_sharing(node, read.home, rows, when, ran.calls)
            self._update_sharing(read.home)
        return len(ran.calls)

    def look(self) -> None:
        """See anew how many bytes are live in the pass, of values that are made in the run or enter it."""
        changes = self._changes.copy()
        for value, entering in self._entering.items():
            home = self._graph.homes[value]
            ends = np.where(entering.later, self._length, entering.deaths)
            ends = ends[ends >= 0]
            size = aligned_row_bytes(home, (0, home.columns))
            changes[0] += size * len(ends)
            np.subtract.at(changes, ends + 1, size)
        self._at_calls = np.cumsum(changes)[: self._length] + self._points
        self.peak = int(self._at_calls.max(initial=0))
        # What enters the run may turn out to be made in it, and rows that live longer now to die under others.
        made = np.cumsum(self._changes)[: self._length] + self._points
        self.least = int(made.max(initial=0)) - self._most_shared

    def node_peaks(self) -> Array:
        """The most bytes that are live at the calls of each of `nodes`."""
        return self._calls.most(self._at_calls)

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
        np.add.at(self._changes, births, size)
        np.subtract.at(self._changes, deaths + 1, size)

    def _note_sharing(self, node: int, value: int, rows: Array, when: Array, calls: Array) -> None:
        """The bytes that a row made by a node may share with a row of an operand, should that die there."""
        columns = self._part.columns_of(self._graph, node)
        over, under = self._graph.homes[self._graph.nodes[node].makes[0]], self._graph.homes[value]
        made = part_row_bytes(over, columns)
        read = part_row_bytes(under, self._part.columns.get(value, (0, under.columns)))
        if self._calls.layers:
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
            self._most_shared = max(self._most_shared, shared)

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
