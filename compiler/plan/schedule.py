"""In which order the rows of a run of nodes are made: each as late as the demand for it allows.

The last rows are asked for, and whoever makes a row first asks for those that it reads (the order of MCUNet's and
StreamNet's line buffers, and of hls4ml's streams, found here by pulling). Nodes of a run that nobody in it reads are
asked side by side, each in proportion to its steps, so that none runs far ahead of another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.operator import Array, Span
from thimble.compiler.plan.row_graph import Read, RowGraph

Call = tuple[int, int, int]
"""A node and the range [first, end) of its steps that one call makes."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a run over nodes [first, end) is asked for: `rows` steps a call, and 0 for all steps at once.

    `spans` are the steps that each node runs; nodes that are absent do not run, since what they make is there
    already. Where it is None, all steps of all nodes run.
    """

    first: int
    end: int
    rows: int = 1
    spans: Mapping[int, Span] | None = None


def pull(graph: RowGraph, demand: Demand) -> list[Call]:
    """The calls of a run in order. Nodes that read input rows do so one by one, unless at once."""
    puller = _Puller(graph, demand)
    for node, count in _asked(graph, demand):
        puller.run_until(node, count)
    for node in range(demand.first, demand.end):
        puller.run_to_end(node)  # rows that nobody in the run reads
    return puller.calls


def steps_reading(read: Read, steps: Span) -> Array:
    """For each row of a home the last of these steps of a node that reads it, or -1."""
    if steps == (0, len(read.end)):
        return read.last
    last = np.full(len(read.last), -1)
    for step in range(*steps):
        last[read.first[step] : read.end[step]] = step
    return last


def rows_kept(read: Read, steps: Span, at_once: bool) -> Array:
    """What `steps_reading` gives, but that a call which makes all of a node keeps its operands whole, as layers do:
    what no step reads lives until the first one."""
    last = steps_reading(read, steps)
    return np.where(last < 0, steps[0], last) if at_once and steps == (0, len(read.end)) else last


def _asked(graph: RowGraph, demand: Demand) -> list[tuple[int, int]]:
    """The steps of the nodes that nobody in the run reads, merged in proportion."""
    spans = demand.spans
    running = [node for node in range(demand.first, demand.end) if spans is None or node in spans]
    read = {r.home for node in running for r in graph.nodes[node].reads}
    asked = []
    for node in running:
        if read.isdisjoint(graph.nodes[node].makes):
            first, end = (0, graph.nodes[node].steps) if spans is None else spans[node]
            asked += [((step + 1 - first) / (end - first), -node, step + 1) for step in range(first, end)]
    return [(-node, count) for _, node, count in sorted(asked)]


class _Puller:
    """Who has run how far, and the calls so far."""

    def __init__(self, graph: RowGraph, demand: Demand) -> None:
        self.calls: list[Call] = []
        self._rows = demand.rows
        self._reads: dict[int, list[tuple[int, list[int]]]] = {}  # for each node: makers in the run, rows needed
        self._done: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._steps: dict[int, int] = {}
        self._gathers: dict[int, bool] = {}
        self._single: set[int] = set()
        for node in range(demand.first, demand.end):
            span = (0, graph.nodes[node].steps) if demand.spans is None else demand.spans.get(node)
            if span is None:
                continue
            self._done[node], self._ends[node] = span
            self._steps[node], self._gathers[node] = graph.nodes[node].steps, graph.nodes[node].gathers
            if graph.nodes[node].node is None:
                self._single.add(node)
            reads = [(graph.makers.get(r.home, -1), r.end) for r in graph.nodes[node].reads]
            inside = [(maker, end) for maker, end in reads if maker in self._done]
            # What is made by the longer way comes first: the shorter way's rows are then needed at once.
            inside.sort(key=lambda item: -graph.depths[item[0]])
            self._reads[node] = [(maker, end.tolist()) for maker, end in inside]

    def run_to_end(self, node: int) -> None:
        """Run all steps of a node that are left, should it run at all."""
        if node in self._ends:
            self.run_until(node, self._ends[node])

    def run_until(self, node: int, count: int) -> None:
        """Run a node until it has done `count` steps."""
        end = self._ends[node]
        rows = 1 if node in self._single and self._rows else self._rows or end
        while self._done[node] < min(count, end):
            done = self._done[node]
            last = min(done + rows, end)
            at_once = (done, last) == (0, self._steps[node])  # it takes its operands whole (rows_kept)
            for maker, needed in self._reads[node]:
                self.run_until(maker, self._ends[maker] if at_once or self._gathers[maker] else needed[last - 1])
            self._done[node] = last
            self.calls.append((node, done, last))
