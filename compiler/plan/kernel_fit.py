"""Schedules with the kernels that fit into them: bytes and cycles of both together.

Schedules are found on plain kernels, which need no scratch. For each of them, and each limit of bytes, the nodes get
the fastest kernels that fit beside what is live (kernels.py); the pair that suits the objective is laid out, and where
that takes more than it may, again with less for the kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from thimble.compiler.ir.graph import Graph
from thimble.compiler.plan.kernels import KernelChoices, ScheduleCycles
from thimble.compiler.plan.layer_plan import layer_needs, plan_layers
from thimble.compiler.plan.options import Objective, PlanOptions, Schedule
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.row_graph import row_graph
from thimble.compiler.plan.row_plan import lay_out, needs_of_nodes, plan_runs
from thimble.compiler.plan.runs import Run
from thimble.compiler.plan.search import FRONTIER_EFFORT, FRONTIER_POINTS, FrontierPoint, Search, undominated
from thimble.compiler.plan.stages import stage_runs

ATTEMPTS = 6
"""Layouts tried until a schedule with its kernels stays within a limit."""

CAREFUL_ATTEMPTS = 2
"""Of these, how many get a layout with care."""

SCHEDULES_TRIED = 3
"""The schedules that are laid out, one after the other, until one stays within the limit."""

WORTH = 1.01
"""Where a limit of bytes is given, more of them are taken only for fewer cycles than this."""


@dataclass(frozen=True, slots=True, eq=False)
class _Draft:
    """A schedule that may be planned, None for layers one by one, and its cycles within each limit of bytes."""

    runs: tuple[Run, ...] | None
    macs: int
    curve: ScheduleCycles


@dataclass(frozen=True, slots=True, eq=False)
class _Offer:
    """A schedule with the kernels that fit into `limit_bytes`."""

    draft: _Draft
    limit_bytes: int
    cycles: float


class KernelFit:
    """Plans of one graph with kernels, by the options of `search`, which holds its schedules with plain kernels."""

    def __init__(self, graph: Graph, choices: KernelChoices, options: PlanOptions, search: Search) -> None:
        self._graph, self._choices, self._options, self._search = graph, choices, options, search
        self._known: dict[bool, list[_Draft]] = {}

    def best(self, limit: int | None) -> FrontierPoint:
        """The plan that the options ask for, within a limit of bytes where any is found."""
        if self._options.objective is Objective.SRAM:
            return self._fill_least(limit)
        for offer in self._ranked(limit):
            found = self._planned(offer, limit)
            if found is not None:
                return found
        return self._fill_least(limit)

    def frontier(self) -> tuple[FrontierPoint, ...]:
        """Points of falling bytes and rising cycles, none dominated, from the fewest cycles to the least bytes."""
        kept: list[_Offer] = []
        for offer in sorted(
            self._offers(self._drafts(self._search.may_repeat), None), key=lambda o: (o.limit_bytes, o.cycles)
        ):
            if not kept or offer.cycles < kept[-1].cycles:
                kept.append(offer)
        stride = max(-(-len(kept) // FRONTIER_POINTS), 1)
        chosen = [*kept[::stride], *(kept[-1:] if (len(kept) - 1) % stride else [])]
        points = []
        for number, offer in enumerate(chosen):
            self._options.progress("Laying out the frontier", number / len(chosen))
            limits = offer.draft.curve.scratch_limits(offer.limit_bytes)
            points.append(self._laid_out(offer.draft, limits, FRONTIER_EFFORT * self._options.effort))
        return undominated(points)

    def spread(self, point: FrontierPoint) -> Plan:
        """The schedule of a point in the regions of the options; in one block where it does not fit them."""
        graph, options = self._choices.choose(point.scratch_limits), self._options
        if point.runs is None:
            return plan_layers(graph, self._search.rounding, options.effort, options.regions)
        rows = row_graph(graph, self._search.rounding, options.input_by_rows)
        return plan_runs(rows, point.runs, options.effort, options.regions)

    def _ranked(self, limit: int | None) -> Iterator[_Offer]:
        """What suits the objective best, first what is found without looking at rows or computing anything twice."""
        options, search = self._options, self._search
        if options.objective is Objective.LATENCY and options.schedule is Schedule.AUTO:
            yield from self._best_of([self._layers], limit)
        if options.schedule is not Schedule.PATCH:
            yield from self._best_of(self._drafts(False), limit)
        if search.by_rows and search.may_repeat:
            yield from self._best_of(self._drafts(True), limit)

    def _best_of(self, drafts: list[_Draft], limit: int | None) -> list[_Offer]:
        """Of each schedule the best kernels within a limit, the best schedules first."""
        offers = list(self._offers(drafts, limit))
        enough = WORTH * min((offer.cycles for offer in offers), default=0.0)
        best: dict[int, _Offer] = {}
        for offer in sorted(offers, key=lambda offer: self._score(offer, enough)):
            best.setdefault(id(offer.draft), offer)
        return list(best.values())[:SCHEDULES_TRIED]

    def _score(self, offer: _Offer, enough: float) -> tuple[float, ...]:
        """What the objective makes as small as possible; fewer cycles than `enough` are worth no bytes of a limit."""
        if self._options.objective is not Objective.BALANCED:
            return offer.cycles, offer.limit_bytes
        if self._options.uses_limit:
            return max(offer.cycles, enough), offer.limit_bytes, offer.cycles
        return offer.limit_bytes * offer.cycles, offer.limit_bytes

    def _offers(self, drafts: list[_Draft], limit: int | None) -> Iterator[_Offer]:
        """All schedules with all kernels that are worth their bytes, within a limit."""
        for draft in drafts:
            for at, cycles in zip(draft.curve.limits.tolist(), draft.curve.cycles.tolist(), strict=True):
                if limit is None or at <= limit:
                    yield _Offer(draft, at, cycles)

    @cached_property
    def _layers(self) -> _Draft:
        return self._draft(self._search.layers.runs, self._graph.macs)

    def _drafts(self, repeats: bool) -> list[_Draft]:
        """Schedules of falling bytes, with or without those that compute something twice."""
        options, search = self._options, self._search
        layers = [self._layers] if options.schedule in (Schedule.AUTO, Schedule.LAYER) else []
        if options.schedule is Schedule.LAYER or not search.by_rows:
            return layers
        if repeats not in self._known:
            chosen = search.choices(repeats)
            self._known[repeats] = [self._draft(choice.runs, choice.macs) for choice in chosen]
        return layers + self._known[repeats]

    def _draft(self, runs: tuple[Run, ...] | None, macs: int) -> _Draft:
        search = self._search
        if runs is None:
            needs, least = layer_needs(self._graph, search.rounding)
        else:
            needs, least = needs_of_nodes(search.graph, stage_runs(search.graph, runs))
        return _Draft(runs, macs, ScheduleCycles(needs, self._choices, least))

    def _planned(self, offer: _Offer, limit: int | None) -> FrontierPoint | None:
        """An offer with a layout that stays within a limit; None where none was found."""
        draft, live, careful = offer.draft, offer.limit_bytes, CAREFUL_ATTEMPTS
        tried = None
        for _ in range(ATTEMPTS):
            limits = draft.curve.scratch_limits(live)
            if limits == tried:
                return None
            tried = limits
            found = self._laid_out(draft, limits, 0.0)
            bound = found.plan.bound_bytes
            if careful and bound <= (limit or bound) and found.arena_bytes > (limit or bound):
                found = self._laid_out(draft, limits, self._options.effort)
                careful -= 1
            if limit is None or found.arena_bytes <= limit:
                return found
            live = min(live, limit) - max(found.arena_bytes - limit, 1)
        return None

    def _fill_least(self, limit: int | None) -> FrontierPoint:
        """The plan that the options ask for with plain kernels, then with the fastest kernels for which it has room.

        Where no layout was found with these, they are those that take no more than plain ones.
        """
        point = self._search.best(limit)
        draft = self._draft(point.runs, point.macs)
        room = point.arena_bytes
        if limit is not None and self._options.objective is not Objective.SRAM:
            room = max(limit, room)
        least = draft.curve.scratch_limits(0)
        return self._planned(_Offer(draft, room, 0.0), room) or replace(point, scratch_limits=least)

    def _laid_out(self, draft: _Draft, limits: tuple[int, ...], effort: float) -> FrontierPoint:
        graph, rounding = self._choices.choose(limits), self._search.rounding
        if draft.runs is None:
            plan = plan_layers(graph, rounding, effort)
        else:
            rows = row_graph(graph, rounding, self._options.input_by_rows)
            plan = lay_out(rows, stage_runs(rows, draft.runs), effort)
        cycles = draft.curve.cycles_with(limits)
        return FrontierPoint(plan, cycles, draft.macs, draft.runs, limits)
