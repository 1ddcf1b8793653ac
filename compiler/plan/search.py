"""From a graph and options to the schedules worth a layout, and to the plan of the one that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.cuts import Choice, Cuts
from thimble.compiler.plan.kernels import KernelLimit
from thimble.compiler.plan.layer_plan import plan_layers
from thimble.compiler.plan.options import Objective, PlanOptions, Schedule
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.row_graph import RowGraph, row_graph
from thimble.compiler.plan.row_plan import lay_out, live_pairs, plan_runs
from thimble.compiler.plan.runs import AT_ONCE, LAYER, Recipe, Run, find_gates
from thimble.compiler.plan.stages import stage_runs

ROWS = tuple(Recipe(rows) for rows in (1, 2, 3, 4, 6, 8, 16))
"""Rows a call; more than 16 took as much memory as whole layers in all networks that were looked at."""

STRIPS = (
    *(Recipe(rows, column_parts=2) for rows in (1, 2, 4)),
    *(Recipe(1, 1, parts, outer) for parts in (3, 4, 5, 6, 8) for outer in (0, 1, 2, 3)),
    *(Recipe(2, 1, parts, outer) for parts in (3, 4, 5) for outer in (0, 2)),
)
"""Columns in parts, with rows of each part streamed."""

PATCHES = tuple(Recipe(0, parts, parts) for parts in (2, 3, 4, 5))
"""Parts of rows and columns, each computed layer by layer as in MCUNetV2."""

BALANCED_SLACK = 1.05
"""What a balanced plan may take of the least bytes that are possible without computing anything twice."""

LAYER_SHARES = (1.0, 0.0)
"""Parts of the limit that whole layers may take: the fewer tensors lie in one piece, the closer is the layout."""

SLACKS = (1.0, 1.01, 1.02, 1.04)
"""What schedules may take of the least live bytes, when the smallest layout is looked for: some fit more closely."""

CAREFUL_LAYOUTS = 2
"""Of the quick layouts, the smallest ones that are tried again with care, where they can get smaller than the best."""

EQUALLY_SMALL = 1.012
"""The second one gets none where it takes more than this of what the first one takes: it hardly ever gets below."""

QUICK_EFFORT = 0.12
"""Of the effort that one plan gets, what each quick layout gets: the simple orders alone say little of the best one."""

FITTING_ATTEMPTS = 8
"""Layouts tried until one stays within a limit: what is live at once can be less than what a layout takes."""

FITTING_SEARCHES = 3
"""Of these, how many get a layout with care."""

FAST_LAYOUTS = 3
"""Of the schedules that take no more cycles than are allowed, those of the least live bytes that get a layout."""

MAX_LIVE_PAIRS = 600_000
"""Schedules with more pairs of rows that are live together get no layout: three times those of large real networks."""

QUICK_PAIRS = 2_500_000
"""Such pairs in all quick layouts together: about ten seconds."""

FRONTIER_POINTS = 20
"""Points of the frontier that get a layout."""

FRONTIER_EFFORT = 0.12
"""Of the effort that one plan gets, what the layout of each point gets."""


@dataclass(frozen=True, slots=True)
class FrontierPoint:
    """A plan, its estimated cycles beyond those of layer by layer, and the multiply-accumulates that it executes.

    `runs` are those that it was made of, None for the layers of the graph one by one. With kernels that were chosen
    for it, `kernel_limits` are those of their nodes, and the cycles are all.
    """

    plan: Plan
    cycles: int
    macs: int
    runs: tuple[Run, ...] | None = None
    kernel_limits: tuple[KernelLimit, ...] = ()

    @property
    def arena_bytes(self) -> int:
        """Bytes of the plan's arena."""
        return self.plan.arena_bytes


class Search:
    """The schedules of one graph; `layers` is the plan of whole layers, None where the input comes by rows.

    Where not `by_rows`, it is the only one: nodes cannot run by rows. `by_node` asks for the bytes that are live at the
    calls of each node.
    """

    def __init__(
        self,
        graph: Graph,
        rounding: Rounding,
        options: PlanOptions,
        layers: Plan | None,
        by_rows: bool = True,
        by_node: bool = False,
    ) -> None:
        self.rounding, self.by_rows = rounding, by_rows
        self._by_node = by_node
        self._source, self._options = graph, options
        self._cuts: dict[bool, Cuts] = {}
        runs = None
        if layers is None:
            runs = tuple(Run(node, node + 1, LAYER) for node in range(len(self.graph.nodes)))
            layers = plan_runs(self.graph, runs, options.effort)
        self.layers = FrontierPoint(layers, 0, graph.macs, runs)

    @cached_property
    def graph(self) -> RowGraph:
        """The graph as the row-wise planner sees it."""
        return row_graph(self._source, self.rounding, self._options.input_by_rows)

    def spread(self, point: FrontierPoint) -> Plan:
        """The schedule of a point in the regions of the options; in one block where it does not fit them."""
        options = self._options
        if point.runs is None:
            return plan_layers(self._source, self.rounding, options.effort, options.regions)
        return plan_runs(self.graph, point.runs, options.effort, options.regions)

    def best(self, limit: int | None) -> FrontierPoint:
        """The plan that the options ask for, within a limit of bytes where any is found."""
        found, most = self._best_within(limit), self._options.max_cycles
        return found if most is None or found.cycles <= most else self._faster(found, limit, most)

    def _best_within(self, limit: int | None) -> FrontierPoint:
        """The plan that the options ask for, however long it takes."""
        options = self._options
        if options.schedule is Schedule.LAYER or not self.by_rows:
            return self.layers
        found = self._by_objective()
        if limit is None or found.arena_bytes <= limit:
            return found
        fitting = self._fitting(limit, self.may_repeat)
        return fitting or min(found, self._smallest(self.may_repeat), key=_by_bytes)

    def _faster(self, slow: FrontierPoint, limit: int | None, most_cycles: int) -> FrontierPoint:
        """The smallest plan that is found to take no more cycles, within a limit of bytes; else the fastest one."""
        known = [slow] if self._options.schedule in (Schedule.ROWS, Schedule.PATCH) else [slow, self.layers]
        if self.by_rows and self._options.schedule is not Schedule.LAYER:
            fast = [choice for choice in self.choices(self.may_repeat) if choice.cycles <= most_cycles]
            made = (self._planned(choice, self._options.effort) for choice in fast[-FAST_LAYOUTS:])
            known += [point for point in made if point is not None]
        return in_time(known, limit, most_cycles, _by_bytes)

    def frontier(self) -> tuple[FrontierPoint, ...]:
        """Points of falling bytes and rising cycles, none dominated, from layer by layer to the least bytes."""
        if not self.by_rows:
            return (self.layers,)
        chosen = self.choices(self.may_repeat)
        points = [] if self._options.schedule in (Schedule.ROWS, Schedule.PATCH) else [self.layers]
        for number, choice in enumerate(chosen):
            self._options.progress("Laying out the frontier", number / len(chosen))
            point = self._planned(choice, FRONTIER_EFFORT * self._options.effort)
            points += [] if point is None else [point]
        return undominated(points or [self.layers])

    def choices(self, repeats: bool) -> list[Choice]:
        """Schedules of falling bytes and rising cycles that can be laid out in a bearable time."""
        choices = self.cuts(repeats).frontier()
        stride = max(-(-len(choices) // FRONTIER_POINTS), 1)
        return self.bearable([*choices[:-1:stride], choices[-1]])

    def bearable(self, choices: Iterable[Choice]) -> list[Choice]:
        """Those of which not so many rows are live together that a layout would take too long."""
        return [choice for choice in choices if live_pairs(stage_runs(self.graph, choice.runs)) <= MAX_LIVE_PAIRS]

    @property
    def may_repeat(self) -> bool:
        """Whether schedules may compute something twice."""
        return self._options.schedule is not Schedule.ROWS

    def _by_objective(self) -> FrontierPoint:
        """The plan for the objective, whether or not it fits."""
        options = self._options
        auto = options.schedule is Schedule.AUTO
        if options.objective is Objective.SRAM:
            return self._smallest(self.may_repeat)
        if options.objective is Objective.LATENCY and auto:
            return self.layers
        repeats = options.schedule is Schedule.PATCH
        smallest = self._smallest(repeats)
        within = int(smallest.arena_bytes * BALANCED_SLACK)
        if options.objective is Objective.LATENCY:
            within = max(smallest.arena_bytes, self.layers.arena_bytes)
        fitting = self._fitting(within, repeats)
        return min((p for p in (smallest, fitting) if p is not None), key=_by_cycles)

    def cuts(self, repeats: bool) -> Cuts:
        """All runs, with or without those that compute something twice."""
        if repeats not in self._cuts:
            what = "Cutting the graph into runs, strips and patches" if repeats else "Cutting the graph into runs"
            recipes, options = self._recipes(repeats), self._options

            def progress(part: float) -> None:
                options.progress(what, part)

            if repeats and options.schedule is not Schedule.PATCH:
                self._cuts[True] = self.cuts(False).with_repeats(recipes, progress)
            else:
                self._cuts[repeats] = Cuts(self.graph, recipes, progress, options.cycles, self._by_node)
        return self._cuts[repeats]

    def _recipes(self, repeats: bool) -> tuple[Recipe, ...]:
        if not repeats:
            return (LAYER, AT_ONCE, *ROWS)
        gates = tuple(Recipe(gate=gate) for gate in find_gates(self.graph))
        if self._options.schedule is Schedule.PATCH:
            return (LAYER, AT_ONCE, *STRIPS, *PATCHES)
        return (LAYER, AT_ONCE, *ROWS, *STRIPS, *gates)

    def _planned(self, choice: Choice, effort: float, quicker: FrontierPoint | None = None) -> FrontierPoint | None:
        """A schedule with a layout; None where so many rows are live together that it would take too long.
        `quicker` is the same one laid out with no effort, if it was."""
        staged = stage_runs(self.graph, choice.runs)
        if live_pairs(staged) > MAX_LIVE_PAIRS:
            return None
        plan = lay_out(self.graph, staged, effort, quicker=None if quicker is None else quicker.plan)
        return FrontierPoint(plan, choice.cycles, choice.macs, choice.runs)

    def _smallest(self, repeats: bool) -> FrontierPoint:
        """The plan of the least bytes that is found: schedules of about the least live bytes, quickly laid out, and
        the best of them with care. Whole layers, where no schedule could be laid out."""
        quick = sorted(self._quickly_planned(self.cuts(repeats)), key=lambda item: _by_bytes(item[0]))
        if not quick:
            return self.layers
        best, most = quick[0][0], EQUALLY_SMALL * quick[0][0].arena_bytes
        for number, (point, choice) in enumerate(quick[:CAREFUL_LAYOUTS]):
            if point.plan.bound_bytes < best.arena_bytes and point.arena_bytes <= most:
                self._options.progress("Laying out the arena", number / CAREFUL_LAYOUTS)
                careful = self._planned(choice, self._options.effort)
                best = best if careful is None else min(best, careful, key=_by_bytes)
        points = [best] if self._options.schedule is not Schedule.AUTO else [self.layers, best]
        return min(points, key=_by_bytes)

    def _quickly_planned(self, cuts: Cuts) -> list[tuple[FrontierPoint, Choice]]:
        """Schedules of about the least live bytes with quick layouts, as many as the work for them allows."""
        limits = [int(cuts.least_peak() * slack) for slack in SLACKS]
        choices = [cuts.cheapest(limit, int(limit * share)) for limit in limits for share in LAYER_SHARES]
        quick: list[tuple[FrontierPoint, Choice]] = []
        work = 0
        for choice in dict.fromkeys(choices):
            if choice is None:
                continue
            if quick and choice.peak_bytes >= min(point.arena_bytes for point, _ in quick):
                continue  # no layout of it can be smaller
            staged = stage_runs(self.graph, choice.runs)
            pairs = live_pairs(staged)
            if pairs > MAX_LIVE_PAIRS or (quick and work + pairs > QUICK_PAIRS):
                continue
            work += pairs
            plan = lay_out(self.graph, staged, QUICK_EFFORT * self._options.effort)
            quick.append((FrontierPoint(plan, choice.cycles, choice.macs, choice.runs), choice))
        return quick

    def _fitting(self, limit_bytes: int, repeats: bool) -> FrontierPoint | None:
        """A plan of few cycles whose arena stays within a limit; None where none was found."""
        if self._options.schedule is Schedule.AUTO and self.layers.arena_bytes <= limit_bytes:
            return self.layers
        cuts = self.cuts(False)
        if repeats and cuts.least_peak() > limit_bytes:
            cuts = self.cuts(True)
        live, searches = limit_bytes, FITTING_SEARCHES
        for _ in range(FITTING_ATTEMPTS):
            choice = cuts.cheapest(live)
            if choice is None:
                return None
            found = self._planned(choice, 0.0)
            if found is not None and searches and found.plan.bound_bytes <= limit_bytes < found.arena_bytes:
                found = self._planned(choice, self._options.effort, found)
                searches -= 1
            if found is None:
                live = choice.peak_bytes - 1
                continue
            if found.arena_bytes <= limit_bytes:
                return found
            live = min(choice.peak_bytes - 1, live * limit_bytes // found.arena_bytes)
        return None


def undominated(points: Iterable[FrontierPoint]) -> tuple[FrontierPoint, ...]:
    """Those than which no other one has both fewer bytes and fewer cycles, by falling bytes."""
    kept: list[FrontierPoint] = []
    for point in sorted(points, key=_by_cycles):
        if not kept or point.arena_bytes < kept[-1].arena_bytes:
            kept.append(point)
    return tuple(kept)


def in_time(
    points: Sequence[FrontierPoint],
    limit: int | None,
    most_cycles: int,
    score: Callable[[FrontierPoint], tuple[float, ...]],
) -> FrontierPoint:
    """The plan of the least score that takes no more cycles, else the fastest one; within a limit of bytes where any
    of them is."""
    fitting = [point for point in points if limit is None or point.arena_bytes <= limit] or points
    within = [point for point in fitting if point.cycles <= most_cycles]
    return min(within, key=score) if within else min(fitting, key=_by_cycles)


def _by_bytes(point: FrontierPoint) -> tuple[int, int]:
    return point.arena_bytes, point.cycles


def _by_cycles(point: FrontierPoint) -> tuple[int, int]:
    return point.cycles, point.arena_bytes
