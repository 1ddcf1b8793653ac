"""From a graph and options to the schedules worth planning, and to the plan of the one that is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.cuts import Choice, Cuts
from thimble.compiler.plan.options import Objective, PlanOptions, Schedule
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.row_graph import RowGraph, row_graph
from thimble.compiler.plan.row_plan import plan_runs
from thimble.compiler.plan.runs import Recipe, Run

LAYERS = Recipe(rows=0)
ROWS = tuple(Recipe(rows) for rows in (1, 2, 3, 4, 6, 8, 16))
"""Rows a call; more than 16 cost as much memory as whole layers in the networks that were looked at."""

BALANCED_SLACK = 1.05
"""What a balanced plan may take of the least bytes that are possible without computing anything twice."""

FITTING_ATTEMPTS = 8
"""Layouts tried until one stays within a limit: what is live at once can be less than what a layout takes."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plan and what it costs beyond layer by layer."""

    plan: Plan
    cycles: int
    macs: int


class Search:
    """The schedules of one graph by rows."""

    def __init__(self, graph: Graph, rounding: Rounding, options: PlanOptions) -> None:
        self._options = options
        self.rows: RowGraph = row_graph(graph, rounding, options.input_by_rows)
        self._cuts: dict[bool, Cuts] = {}

    def layers(self) -> Candidate:
        """Layer by layer, the input read by rows."""
        runs = tuple(Run(node, node + 1, LAYERS) for node in range(len(self.rows.nodes)))
        return Candidate(plan_runs(self.rows, runs, self._options.effort), 0, self.rows.graph.macs)

    def cuts(self, repeats: bool) -> Cuts:
        """All runs, with or without those that compute something twice."""
        if repeats not in self._cuts:
            recipes = (LAYERS, *ROWS)
            self._cuts[repeats] = Cuts(
                self.rows, recipes, lambda done, of: self._options.progress("Cutting the graph into runs", done / of)
            )
        return self._cuts[repeats]

    def planned(self, choice: Choice, effort: float | None = None) -> Candidate:
        """The plan of a schedule."""
        effort = self._options.effort if effort is None else effort
        return Candidate(plan_runs(self.rows, choice.runs, effort), choice.cycles, choice.macs)

    def smallest(self, repeats: bool) -> Candidate:
        """The plan of the least live bytes, and of those the fewest cycles."""
        cuts = self.cuts(repeats)
        choice = cuts.cheapest(cuts.least_peak())
        assert choice is not None
        return self.planned(choice)

    def fitting(self, limit_bytes: int, repeats: bool) -> Candidate | None:
        """A plan of few cycles whose arena stays within a limit; None where none was found."""
        cuts = self.cuts(repeats)
        live = limit_bytes
        for _ in range(FITTING_ATTEMPTS):
            choice = cuts.cheapest(live)
            if choice is None:
                return None
            candidate = self.planned(choice)
            if candidate.plan.arena_bytes <= limit_bytes:
                return candidate
            live = min(choice.peak_bytes - 1, live * limit_bytes // candidate.plan.arena_bytes)
        return None


def best_plan(graph: Graph, rounding: Rounding, options: PlanOptions, layers: Plan | None) -> Plan:
    """The plan that the options ask for; `layers` is that of whole layers, where it may be chosen."""
    search = Search(graph, rounding, options)
    whole = search.layers() if layers is None else Candidate(layers, 0, graph.macs)
    if options.schedule is Schedule.LAYER:
        return whole.plan
    limit = options.max_sram_bytes
    forced = options.schedule is not Schedule.AUTO
    if not forced and options.objective is Objective.LATENCY and (limit is None or whole.plan.arena_bytes <= limit):
        return whole.plan
    repeats = options.schedule is not Schedule.ROWS and options.objective is Objective.SRAM
    candidates = [search.smallest(repeats)]
    if not forced:
        candidates.append(whole)
    smallest = min(candidates, key=_by_bytes)
    if options.objective is Objective.SRAM:
        return smallest.plan
    within = int(smallest.plan.arena_bytes * BALANCED_SLACK)
    if options.objective is Objective.LATENCY:
        within = max(smallest.plan.arena_bytes, whole.plan.arena_bytes if limit is None else limit)
    elif limit is not None:
        within = max(min(within, limit), smallest.plan.arena_bytes)
    fitting = search.fitting(within, repeats)
    candidates += [] if fitting is None else [fitting]
    return min((c for c in candidates if c.plan.arena_bytes <= within), key=_by_cycles).plan


def _by_bytes(candidate: Candidate) -> tuple[int, int]:
    return candidate.plan.arena_bytes, candidate.cycles


def _by_cycles(candidate: Candidate) -> tuple[int, int]:
    return candidate.cycles, candidate.plan.arena_bytes
