"""Where to cut the graph into runs, and by which recipe to compute each: dynamic programming over the cuts.

A schedule's peak is the highest of its runs', its cycles are their sum. So for a limit of bytes the cheapest schedule
is a shortest path over the nodes, along the runs that stay within the limit; lowering the limit under the peak of each
path that was found gives the whole frontier.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.operator import Array
from thimble.compiler.plan.cycles import CycleModel
from thimble.compiler.plan.row_graph import RowGraph
from thimble.compiler.plan.run_costs import NodePeaks, RunCosts
from thimble.compiler.plan.runs import AT_ONCE, LAYER, Recipe, Run

MAX_RUN = 48
"""The most nodes of a run."""

MAX_NODES = 8000
"""Nodes of the longest runs that end at each node, summed up: graphs of more than 166 nodes get shorter runs."""

MAX_STEPS = 8192
"""The most steps of a run, at one row a call."""

MAX_WORK = 400_000
"""Steps of the longest runs that end at each node, summed up: long networks of tall tensors get shorter runs."""

MAX_REPEATED_WORK = 40_000_000
"""Calls simulated of runs that compute something twice; recipes that come behind so many are not looked at."""

CALLS_PER_NODE = 80
"""As much work as so many calls: what a node of such a run costs beside its calls."""

WORTH_REPEATING = 1.01
"""Nothing is computed twice where tensors that must lie whole leave no more to save than this factor of the bytes."""

NEVER = 1 << 60

RunPrices = Callable[[Sequence["PricedRun"], Sequence[int]], Array]
"""Cycles of runs that end at one node with the kernels that fit into each limit of bytes: (limits, runs)."""

FRONTIER_STEP = 0.01
"""Points of a frontier lie at least so far apart, as a part of their bytes."""


@dataclass(frozen=True, slots=True)
class PricedRun:
    """A run with its peak of live bytes, its cycles beyond whole layers, and its multiply-accumulates."""

    run: Run
    peak_bytes: int
    cycles: int
    macs: int
    nodes: NodePeaks | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A schedule: its runs, their peak of live bytes and the sums of their costs."""

    runs: tuple[Run, ...]
    peak_bytes: int
    cycles: int
    macs: int


class Cuts:
    """All runs of a graph by the recipes that are allowed, priced.

    Runs that compute something twice are left out where they take more than the least peak without them: they would
    cost cycles for nothing.
    """

    def __init__(
        self,
        graph: RowGraph,
        recipes: Sequence[Recipe],
        progress: Callable[[float], None] = lambda part: None,
        cycles: CycleModel | None = None,
        by_node: bool = False,
    ) -> None:
        self._graph = graph
        self._count = len(graph.nodes)
        self._costs = RunCosts(graph, cycles, by_node)
        self._ending: list[list[PricedRun]] = [[] for _ in range(self._count + 1)]
        self._arrays: list[tuple[Array, Array, Array, Array]] = []
        plain, repeating = [r for r in recipes if not r.repeats], [r for r in recipes if r.repeats]
        self._add([(end, recipe, None) for end in range(1, self._count + 1) for recipe in plain], progress)
        self._add_repeats(repeating, progress)

    def with_repeats(self, recipes: Sequence[Recipe], progress: Callable[[float], None] = lambda part: None) -> Cuts:
        """The same runs, and those by recipes that compute something twice, of which there are none yet."""
        more = copy(self)
        more._ending = [list(priced) for priced in self._ending]
        more._add_repeats([r for r in recipes if r.repeats], progress)
        return more

    def _add_repeats(self, recipes: Sequence[Recipe], progress: Callable[[float], None]) -> None:
        """Runs that compute something twice, the fewest parts first: more of them cost cycles for nothing where they
        take more bytes than fewer."""
        work = 0
        for parts in sorted({recipe.parts for recipe in recipes}):
            asked, work = self._worth_repeating([recipe for recipe in recipes if recipe.parts == parts], work)
            self._add(asked, progress)

    def _add(self, asked: Sequence[tuple[int, Recipe, int | None]], progress: Callable[[float], None]) -> None:
        """Price runs that end at a node by a recipe and, where that is given, take less than so many bytes."""
        for number, (end, recipe, below) in enumerate(asked):
            progress(number / len(asked))
            for cost in self._costs.ending_at(self._lowest_of(end, recipe), end, recipe, below):
                run = Run(cost.first, end, recipe)
                self._ending[end].append(PricedRun(run, cost.peak_bytes, cost.cycles, cost.macs, cost.nodes))
        self._arrays = [_table(priced) for priced in self._ending]

    def _worth_repeating(
        self, recipes: Sequence[Recipe], work: int
    ) -> tuple[list[tuple[int, Recipe, int | None]], int]:
        """Where something may be computed twice to take less than all runs so far, by end, and all work: as many
        recipes as that allows beside the work before, the first ones first."""
        below = self.least_peak()
        if below <= WORTH_REPEATING * self._costs.whole_bytes:
            return [], work
        found: list[tuple[int, Recipe, int | None]] = []
        for recipe in recipes:
            for end in range(1, self._count + 1):
                if self._least_of(end) < below:
                    work += self._steps_of(self._lowest(end), end, recipe)
                    found += [(end, recipe, below)] if work <= MAX_REPEATED_WORK else []
        return sorted(found, key=lambda asked: asked[0]), work

    def _lowest_of(self, end: int, recipe: Recipe) -> int:
        """The first node with which a run by a recipe may begin."""
        return end - 1 if recipe in (LAYER, AT_ONCE) else self._lowest(end)

    def _steps_of(self, first: int, end: int, recipe: Recipe) -> int:
        """About how many calls a run takes, with what its nodes cost beside them."""
        passes = recipe.parts if recipe.gate is None else 2
        calls = sum(node.steps for node in self._graph.nodes[first:end]) // max(recipe.rows, 1)
        return passes * (calls + CALLS_PER_NODE * (end - first))

    def _least_of(self, end: int) -> int:
        """Bytes that any run takes that ends here: all that its last node makes lies there whole."""
        homes = [self._graph.homes[value] for value in self._graph.nodes[end - 1].makes]
        return sum(home.rows * home.row_bytes for home in homes if self._graph.last_reader(home.value) >= end)

    def _lowest(self, end: int) -> int:
        """The first node with which a run may begin: it holds one node at most that touches a state."""
        most = min(MAX_STEPS, MAX_WORK // self._count)
        longest = min(MAX_RUN, max(MAX_NODES // self._count, 2))
        lowest, touching, steps = end, 0, 0
        while lowest > max(end - longest, 0):
            node = self._graph.nodes[lowest - 1]
            touching += node.touches_state
            steps += node.steps
            if lowest < end and (touching > 1 or steps > most):
                break
            lowest -= 1
        return lowest

    def least_peak(self) -> int:
        """The least peak of live bytes of any schedule."""
        best = np.zeros(self._count + 1, np.int64)
        for end in range(1, self._count + 1):
            first, peak, _, _ = self._arrays[end]
            best[end] = np.maximum(best[first], peak).min()
        return int(best[-1])

    def cheapest(self, limit_bytes: int, layer_limit_bytes: int | None = None) -> Choice | None:
        """The schedule of the fewest cycles whose peak stays within a limit; None where there is none.

        Whole layers may be held to a lower limit, since tensors in one piece leave less freedom to lay them out.
        """
        layer_limit = limit_bytes if layer_limit_bytes is None else layer_limit_bytes
        return self._cheapest(limit_bytes, layer_limit, [cost for _, _, cost, _ in self._arrays])

    def cheapest_with_kernels(self, limits: Sequence[int], prices: RunPrices, layer_share: float = 1.0) -> list[Choice]:
        """For each limit the schedule of the fewest cycles, if each node has the fastest kernels that fit beside what
        is live at its calls; without limits that nothing stays within. Whole layers are held to a share of the limit.
        """
        costs = [prices(ending, limits) for ending in self._ending]
        found = [
            self._cheapest(limit, int(limit * layer_share), [cost[i] for cost in costs])
            for i, limit in enumerate(limits)
        ]
        return list(dict.fromkeys(choice for choice in found if choice is not None))

    def _cheapest(self, limit: int, layer_limit: int, costs: Sequence[Array]) -> Choice | None:
        cycles = np.full(self._count + 1, NEVER, np.int64)
        cycles[0] = 0
        best: list[PricedRun | None] = [None] * (self._count + 1)
        for end in range(1, self._count + 1):
            first, peak, _, layer = self._arrays[end]
            possible = (peak <= np.where(layer, layer_limit, limit)) & (cycles[first] < NEVER)
            total = np.where(possible, cycles[first] + costs[end], NEVER)
            choice = int(total.argmin())
            if total[choice] < NEVER:
                cycles[end], best[end] = total[choice], self._ending[end][choice]
        return self._trace(best) if cycles[-1] < NEVER else None

    def frontier(self) -> list[Choice]:
        """Schedules of falling peaks and rising cycles, none dominated; the last one has the least peak."""
        found: list[Choice] = []
        limit, least = NEVER, self.least_peak()
        while limit >= least:
            choice = self.cheapest(limit)
            assert choice is not None
            found.append(choice)
            below = min(choice.peak_bytes - 1, int(choice.peak_bytes * (1 - FRONTIER_STEP)))
            limit = least if below < least < choice.peak_bytes else below
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


def _table(priced: Sequence[PricedRun]) -> tuple[Array, Array, Array, Array]:
    """For each run: its first node, peak, cycles, and whether it is a whole layer."""
    return (
        np.array([p.run.first for p in priced], np.int64),
        np.array([p.peak_bytes for p in priced], np.int64),
        np.array([p.cycles for p in priced], np.int64),
        np.array([p.run.recipe == LAYER for p in priced], bool),
    )
