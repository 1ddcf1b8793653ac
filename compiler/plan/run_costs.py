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
from thimble.compiler.plan.cycles import CycleModel, cycle_model, extra_cycles
from thimble.compiler.plan.kernel_work import NodeWork
from thimble.compiler.plan.later import Later, bytes_read_later
from thimble.compiler.plan.row_graph import RowGraph
from thimble.compiler.plan.runs import LAYER, Parts, Pass, Recipe, passes_of
from thimble.compiler.plan.schedule import Demand, pull
from thimble.compiler.plan.timeline import PassCalls, Timeline


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
    """Costs of runs of one graph, none of which takes less than its largest tensor in one piece: `whole_bytes`."""

    def __init__(self, graph: RowGraph, cycles: CycleModel | None = None, by_node: bool = False) -> None:
        self._prices, self._by_node = _Prices(graph, cycles or cycle_model()), by_node
        self._graph, self._parts = graph, Parts(graph)
        homes = graph.homes.values()
        self._states = sum(home.rows * home.row_bytes for home in homes if home.role is Role.STATE)
        in_one_piece = [home for home in homes if home.whole]
        self.whole_bytes = max((home.rows * home.row_bytes for home in in_one_piece), default=0)
        self._later = {home.value: Later(graph, home) for home in homes}
        self._kept_at = bytes_read_later(graph, self._later)
        self._end, self._calls = 0, dict[object, PassCalls]()

    def ending_at(self, lowest: int, end: int, recipe: Recipe, below: int | None = None) -> Iterator[RunCost]:
        """The costs of the runs [a, end), for a from end - 1 down to `lowest` as far as the recipe is possible.

        With `below`, those alone whose peak is below so many bytes. It is fastest where all recipes of one end are
        asked for one after the other.
        """
        found = passes_of(self._graph, lowest, end, recipe)
        if found is None:
            return
        timelines = [
            Timeline(self._parts, self._later, end, found.passes, number, self._calls_of(part, end, recipe))
            for number, part in enumerate(found.passes)
        ]
        first_possible = _first_possible(end, recipe, found.passes)
        passing, counted = int(self._kept_at[end]), set[int]()
        cycles = macs = 0
        called: list[tuple[int, float]] = []
        for node in range(end - 1, found.lowest - 1, -1):
            calls = [timeline.include(node) for timeline in timelines]
            passing -= self._leaving(node, end, counted)
            done = sum(
                self._parts.macs(node, part.spans[node], part.columns_of(self._graph, node))
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
                pieces = self._largest_operand(node) if recipe == LAYER else 0
                peak = max(live + max(timeline.peak for timeline in timelines), self.whole_bytes, pieces)
                if below is None or peak < below:
                    nodes = _node_peaks(timelines, node, end, live, called) if self._by_node else None
                    yield RunCost(node, peak, cycles, macs, nodes)
                elif self._states + max(timeline.least for timeline in timelines) >= below:
                    return

    def _calls_of(self, part: Pass, end: int, recipe: Recipe) -> PassCalls:
        """The calls of a part of a run that ends at a node: those of parts of the same steps are made once."""
        if end != self._end:
            self._end, self._calls = end, {}
        key = recipe == LAYER, recipe.rows, tuple(sorted(part.spans.items()))
        if key not in self._calls:
            calls = pull(self._graph, Demand(min(part.spans), end, recipe.rows, part.spans))
            self._calls[key] = PassCalls(self._graph, calls, part.spans, recipe == LAYER)
        return self._calls[key]

    def _rows_done(self, node: int, passes: Sequence[Pass]) -> float:
        """Rows that a node makes in all passes; narrower ones count less."""
        makes, total = self._graph.nodes[node].makes, 0.0
        whole = self._graph.homes[makes[0]].columns if makes else 1
        for part in passes:
            if node in part.spans:
                rows, columns = part.spans[node], part.columns_of(self._graph, node)
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
    timelines: Sequence[Timeline], first: int, end: int, live: int, called: Sequence[tuple[int, float]]
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


def _first_possible(end: int, recipe: Recipe, passes: Sequence[Pass]) -> int:
    """The latest node with which such a run makes sense: some node is computed in parts or twice, or it has two."""
    if recipe.gate is not None:
        return max(passes[0].spans.keys() & passes[1].spans.keys())
    return end - 2 if recipe.repeats else end - 1
