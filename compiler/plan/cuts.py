"""Where to cut the graph into runs, and by which recipe to compute each: dynamic programming over the cuts.

A schedule's peak is the highest of its runs', its cycles are their sum. So for a limit of bytes the cheapest schedule
is a shortest path over the nodes, along the runs that stay within the limit; lowering the limit under the peak of each
path that was found gives the whole frontier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from thimble.compiler.plan.row_graph import RowGraph
from thimble.compiler.plan.run_costs import RunCosts
from thimble.compiler.plan.runs import Recipe, Run

MAX_RUN = 48
"""The most nodes of a run."""

FRONTIER_STEP = 0.01
"""Points of a frontier lie at least so far apart, as a part of their bytes."""


@dataclass(frozen=True, slots=True)
class PricedRun:
    """A run with its peak of live bytes, its cycles beyond one call a node, and its multiply-accumulates."""

    run: Run
    peak_bytes: int
    cycles: int
    macs: int


@dataclass(frozen=True, slots=True)
class Choice:
    """A schedule: its runs, their peak of live bytes and the sums of their costs."""

    runs: tuple[Run, ...]
    peak_bytes: int
    cycles: int
    macs: int


class Cuts:
    """All runs of a graph by the recipes that are allowed, priced."""

    def __init__(
        self,
        graph: RowGraph,
        recipes: Sequence[Recipe],
        progress: Callable[[int, int], None] = lambda done, of: None,
    ) -> None:
        self._graph = graph
        self._count = len(graph.nodes)
        self._ending: list[list[PricedRun]] = [[] for _ in range(self._count + 1)]
        costs = RunCosts(graph)
        for end in range(1, self._count + 1):
            for recipe in recipes:
                self._ending[end] += self._price(costs, end, recipe)
            progress(end, self._count)
        self._arrays = [
            (
                np.array([p.run.first for p in priced], np.int64),
                np.array([p.peak_bytes for p in priced], np.int64),
                np.array([p.cycles for p in priced], np.int64),
            )
            for priced in self._ending
        ]

    def _price(self, costs: RunCosts, end: int, recipe: Recipe) -> Iterator[PricedRun]:
        lowest = self._lowest(end) if recipe.rows else end - 1
        for cost in costs.ending_at(lowest, end, recipe):
            yield PricedRun(Run(cost.first, end, recipe), cost.peak_bytes, cost.cycles, cost.macs)

    def _lowest(self, end: int) -> int:
        """The first node with which a run may begin: it holds one node at most that touches a state."""
        touching = [n for n in range(end) if self._graph.nodes[n].touches_state][-2:]
        return max(end - MAX_RUN, touching[0] + 1 if len(touching) == 2 else 0, 0)

    def least_peak(self) -> int:
        """The least peak of live bytes of any schedule."""
        best = np.zeros(self._count + 1, np.int64)
        for end in range(1, self._count + 1):
            first, peak, _ = self._arrays[end]
            best[end] = np.maximum(best[first], peak).min()
        return int(best[-1])

    def cheapest(self, limit_bytes: int) -> Choice | None:
        """The schedule of the fewest cycles whose peak stays within a limit, and of those the one of least peak."""
        cycles = np.full(self._count + 1, _NEVER, np.int64)
        cycles[0] = 0
        best: list[PricedRun | None] = [None] * (self._count + 1)
        for end in range(1, self._count + 1):
            first, peak, cost = self._arrays[end]
            total = np.where(peak <= limit_bytes, cycles[first] + cost, _NEVER)
            if len(total) and total.min() < _NEVER:
                choice = int(total.argmin())
                cycles[end], best[end] = total[choice], self._ending[end][choice]
        return self._trace(best) if cycles[-1] < _NEVER else None

    def frontier(self, least: int = 0) -> list[Choice]:
        """Schedules of falling peaks and rising cycles, none dominated; the last one has the least peak."""
        found: list[Choice] = []
        limit = _NEVER
        while True:
            choice = self.cheapest(limit)
            if choice is None:
                break
            found.append(choice)
            limit = min(choice.peak_bytes - 1, int(choice.peak_bytes * (1 - FRONTIER_STEP)))
        last = self.cheapest(self.least_peak())
        if last is not None and found and last.peak_bytes < found[-1].peak_bytes:
            found.append(last)
        return found

    def _trace(self, best: list[PricedRun | None]) -> Choice:
        runs: list[PricedRun] = []
        end = self._count
        while end:
            priced = best[end]
            assert priced is not None
            runs.append(priced)
            end = priced.run.first
        runs.reverse()
        return Choice(
            tuple(priced.run for priced in runs),
            max((priced.peak_bytes for priced in runs), default=0),
            sum(priced.cycles for priced in runs),
            sum(priced.macs for priced in runs),
        )


_NEVER = 1 << 60
