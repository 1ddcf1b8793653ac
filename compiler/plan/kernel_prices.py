"""Cycles of runs with the fastest kernels that fit into a limit of bytes beside what is live at each node's calls."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from thimble.compiler.ir.operator import Array
from thimble.compiler.plan.cuts import PricedRun
from thimble.compiler.plan.kernels import KernelChoices
from thimble.compiler.plan.row_graph import RowGraph
from thimble.compiler.plan.runs import LAYER


class KernelPrices:
    """Prices runs of a graph by the kernels that its nodes may have."""

    def __init__(self, graph: RowGraph, choices: KernelChoices) -> None:
        self._graph, self._choices = graph, choices
        self._known: dict[tuple[int, bool, float, float], _Ladder] = {}

    def of_runs(self, runs: Sequence[PricedRun], limits: Sequence[int]) -> Array:
        """(limits, runs) cycles of runs that end at one node; those of one recipe come together, the shortest first."""
        costs = [self._of_recipe(list(group), limits) for _, group in groupby(runs, key=lambda run: run.run.recipe)]
        return np.concatenate(costs, axis=1) if costs else np.zeros((len(limits), 0), np.int64)

    def _of_recipe(self, runs: Sequence[PricedRun], limits: Sequence[int]) -> Array:
        """Runs of one recipe that end at one node: their calls are the same, as far as they share nodes."""
        longest, layer = runs[-1], runs[0].run.recipe == LAYER
        lowest, end = longest.run.first, longest.run.end
        firsts = np.array([run.run.first for run in runs])
        live, shared = np.zeros((2, len(runs), end - lowest), np.int64)
        for row, run in enumerate(runs):
            assert run.nodes is not None
            live[row, run.run.first - lowest :] = run.nodes.live_bytes
            shared[row, run.run.first - lowest :] = run.nodes.shared_bytes
        assert longest.nodes is not None
        costs = np.zeros((len(limits), len(runs)))
        for node, calls, rows in zip(range(lowest, end), longest.nodes.calls, longest.nodes.rows, strict=True):
            having = np.searchsorted(-firsts, -node)  # shorter runs do not have it
            at = node - lowest
            room = np.array(limits)[:, None] - live[having:, at]
            costs[:, having:] += self._ladder(node, layer, calls, rows).cycles(room, shared[having:, at])
        return costs.astype(np.int64)

    def _ladder(self, node: int, layer: bool, calls: float, rows: float) -> _Ladder:
        key = node, layer, calls, rows
        if key not in self._known:
            index = self._graph.nodes[node].node
            self._known[key] = _Ladder([], [], [])
            if index is not None:
                by_rows = not layer and not self._graph.nodes[node].runs_whole
                options = self._choices.by_rows[index] if by_rows else self._choices.whole[index]
                steps = self._graph.nodes[node].steps
                cycles = [calls * option.cycles(steps if layer else rows) for option in options]
                self._known[key] = _Ladder(
                    cycles, [option.scratch_bytes for option in options], [option.in_place for option in options]
                )
        return self._known[key]


class _Ladder:
    """The cycles of a node with the fastest kernels that fit into some bytes."""

    def __init__(self, cycles: Sequence[float], scratch: Sequence[int], in_place: Sequence[bool]) -> None:
        items = sorted(zip(cycles, scratch, in_place, strict=True))
        self._slowest = max(cycles, default=0.0)
        self._in_place = _falling([(s, c) for c, s, near in items if near])
        self._apart = _falling([(s, c) for c, s, near in items if not near])

    def cycles(self, room: Array, shared: Array) -> Array:
        """With `room` for scratch, of which kernels that keep off their input need the `shared` bytes too."""
        best = np.full(room.shape, self._slowest)
        for (scratch, cycles), given in ((self._in_place, room), (self._apart, room - shared)):
            if len(scratch):
                at = np.searchsorted(scratch, given, side="right") - 1
                best = np.where(at < 0, best, np.minimum(best, cycles[at]))
        return best


def _falling(points: Sequence[tuple[int, float]]) -> tuple[Array, Array]:
    """Scratch that rises and cycles that fall with it."""
    kept: list[tuple[int, float]] = []
    for scratch, cycles in sorted(points):
        if not kept or cycles < kept[-1][1]:
            kept.append((scratch, cycles))
    return np.array([s for s, _ in kept], np.int64), np.array([c for _, c in kept])
