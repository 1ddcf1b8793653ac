"""Schedules with the kernels that fit into them: bytes and cycles of both together.

Schedules are found on plain kernels, which need no scratch. For each of them, and each limit of bytes, the nodes get
the fastest kernels that fit beside what is live (kernels.py); the pair that suits the objective is laid out, and where
that takes more than it may, again with less for the kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf

import numpy as np

from thimble.compiler.ir.graph import Graph
from thimble.compiler.plan.accesses import part_of
from thimble.compiler.plan.gaps import Gap, fill_gaps, find_gaps
from thimble.compiler.plan.kernel_prices import KernelPrices
from thimble.compiler.plan.kernels import PLAIN, KernelChoices, KernelLimit, ScheduleCycles
from thimble.compiler.plan.layer_plan import layer_needs, plan_layers, scratch_of_layers
from thimble.compiler.plan.options import Objective, PlanOptions, Schedule
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.row_graph import row_graph
from thimble.compiler.plan.row_plan import lay_out, needs_of_nodes, plan_runs, scratch_of_stages
from thimble.compiler.plan.runs import Run
from thimble.compiler.plan.search import (
    FRONTIER_EFFORT,
    FRONTIER_POINTS,
    QUICK_EFFORT,
    FrontierPoint,
    Search,
    in_time,
    undominated,
)
from thimble.compiler.plan.stages import stage_runs

ATTEMPTS = 6
"""Layouts tried until a schedule with its kernels stays within a limit."""

SCHEDULES_TRIED = 3
"""The schedules that are laid out at a time, until one stays within the limit."""

LAYER_SHARE = 0.25
"""Of a limit, what whole layers may take in other schedules that are tried: rows apart fit more closely."""

MOST_SLOWDOWN = 1.07
"""Of the cycles of layers, what a balanced plan by rows takes where it can: 8% more at most, but estimates err."""

SCHEDULE_LIMITS = 16
"""Limits of bytes for each of which a schedule is sought."""

LOOSE = 1.01
"""What a layout may take of the bytes that were asked for, before one is sought with care."""

CLOSE = 1.04
"""What a quick layout may take of the bytes that are there, if one with care is to stay within them."""

FAR = 0.1
"""By this share of the bytes that are there is a quick layout too large for slower kernels to be tried."""

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

    def best(self, limit: int | None) -> FrontierPoint:
        """The plan that the options ask for, within a limit of bytes where any is found."""
        found, most = self._best_within(limit), self._options.max_cycles
        return found if most is None or found.cycles <= most else self._faster(found, limit, most)

    def _best_within(self, limit: int | None) -> FrontierPoint:
        """The plan that the options ask for, however long it takes."""
        if self._options.objective is Objective.SRAM:
            return self._within_least(limit)
        for drafts in self._drafts_in_turn(limit):
            offers = self._best_of(drafts, limit)
            found = self._best_planned(offers[:SCHEDULES_TRIED] + self._offers_apart(limit), limit)
            if found is None and limit is not None:
                found = self._found_below(offers, limit)
            if found is not None:
                return found
        return self._within_least(limit)

    def _faster(self, slow: FrontierPoint, limit: int | None, most_cycles: int) -> FrontierPoint:
        """The best plan that is found to take no more cycles, within a limit of bytes; else the fastest one."""
        known = [slow]
        for drafts in self._drafts_in_turn(limit):
            offers = [offer for offer in self._offers(drafts, limit) if offer.cycles <= most_cycles]
            offers = offers or [min(self._offers(drafts, None), key=lambda offer: offer.cycles)]
            offers.sort(key=lambda offer: self._score_in_time(offer.limit_bytes, offer.cycles))
            best: dict[int, _Offer] = {}
            for offer in offers:
                best.setdefault(id(offer.draft), offer)
            tried = [*best.values()][:SCHEDULES_TRIED]
            limits = [offer.draft.curve.kernel_limits(offer.limit_bytes) for offer in tried]
            effort = self._options.effort
            known += [self._laid_out(o.draft, scratch, effort) for o, scratch in zip(tried, limits, strict=True)]
        return in_time(known, limit, most_cycles, lambda p: self._score_in_time(p.arena_bytes, p.cycles))

    def _score_in_time(self, bytes: int, cycles: float) -> tuple[float, ...]:
        """What the objective makes as small as possible among plans that are fast enough."""
        return (bytes, cycles) if self._options.objective is Objective.SRAM else self._score(bytes, cycles, 0.0)

    def _offers_apart(self, limit: int | None) -> list[_Offer]:
        """Where cycles are bounded, the best schedules within the bound that have no large tensors in one piece."""
        if not self._bounds_cycles:
            return []
        offers = self._best_of(self._drafts(False, limit, LAYER_SHARE), limit)
        return [offer for offer in offers if offer.cycles <= self._most_cycles][:SCHEDULES_TRIED]

    def _found_below(self, offers: list[_Offer], limit: int) -> FrontierPoint | None:
        """Where none of the best offers stays within a limit: one of them with slower kernels, or another schedule,
        since what a layout takes beyond the live bytes differs between schedules."""
        shrunk = (self._shrunk(offer, limit) for offer in offers[:SCHEDULES_TRIED])
        others = (
            self._best_planned(offers[at : at + SCHEDULES_TRIED], limit)
            for at in range(SCHEDULES_TRIED, len(offers), SCHEDULES_TRIED)
        )
        found = [next((point for point in points if point is not None), None) for points in (shrunk, others)]
        return min((point for point in found if point is not None), key=self._score_of, default=None)

    def frontier(self) -> tuple[FrontierPoint, ...]:
        """Points of falling bytes and rising cycles, none dominated, from the fewest cycles to the least bytes."""
        kept: list[_Offer] = []
        for offer in sorted(
            self._offers(self._drafts(self._search.may_repeat, None), None), key=lambda o: (o.limit_bytes, o.cycles)
        ):
            if not kept or offer.cycles < kept[-1].cycles:
                kept.append(offer)
        sizes = [offer.limit_bytes for offer in kept]
        wanted = np.geomspace(sizes[0], sizes[-1], FRONTIER_POINTS).round().astype(int)
        chosen = [kept[i] for i in np.unique(np.searchsorted(sizes, wanted, side="right") - 1).tolist()]
        points = []
        for number, offer in enumerate(chosen):
            self._options.progress("Laying out the frontier", number / len(chosen))
            limits = offer.draft.curve.kernel_limits(offer.limit_bytes)
            points.append(self._laid_out(offer.draft, limits, FRONTIER_EFFORT * self._options.effort))
        return undominated(points)

    def spread(self, point: FrontierPoint) -> Plan:
        """The schedule of a point in the regions of the options; in one block where it does not fit them."""
        graph, options = self._choices.choose(point.kernel_limits), self._options
        if point.runs is None:
            return plan_layers(graph, self._search.rounding, options.effort, options.regions)
        rows = row_graph(graph, self._search.rounding, options.input_by_rows)
        return plan_runs(rows, point.runs, options.effort, options.regions)

    def _drafts_in_turn(self, limit: int | None) -> Iterator[list[_Draft]]:
        """Schedules to choose from, first what is found without looking at rows or computing anything twice."""
        options, search = self._options, self._search
        if options.objective is Objective.LATENCY and options.schedule is Schedule.AUTO:
            yield [self._layers]
        if options.schedule is not Schedule.PATCH:
            yield self._drafts(False, limit)
        if search.by_rows and search.may_repeat:
            yield self._drafts(True, limit)

    def _score_of(self, point: FrontierPoint) -> tuple[float, ...]:
        return self._score(point.arena_bytes, point.cycles, 0.0)

    def _score_at_best(self, point: FrontierPoint) -> tuple[float, ...]:
        return self._score(point.plan.bound_bytes, point.cycles, 0.0)

    def _best_of(self, drafts: list[_Draft], limit: int | None) -> list[_Offer]:
        """Of each schedule the best kernels within a limit, the best schedules first."""
        offers = list(self._offers(drafts, limit))
        offers = [offer for offer in offers if offer.cycles <= self._most_cycles] or offers
        enough = WORTH * min((offer.cycles for offer in offers), default=0.0)
        best: dict[int, _Offer] = {}
        for offer in sorted(offers, key=lambda offer: self._score(offer.limit_bytes, offer.cycles, enough)):
            best.setdefault(id(offer.draft), offer)
        return list(best.values())

    @property
    def _bounds_cycles(self) -> bool:
        """Whether plans by rows are to take hardly more cycles than those by layers."""
        options = self._options
        rows = options.schedule is Schedule.ROWS and self._search.by_rows
        return rows and options.objective is Objective.BALANCED and not options.uses_limit

    @cached_property
    def _most_cycles(self) -> float:
        """What a schedule may take where any takes no more: asked for rows, and for no limit of bytes, hardly more than
        the plan by layers for the same objective."""
        if not self._bounds_cycles:
            return inf
        layers = min(self._offers([self._layers], None), key=lambda offer: offer.limit_bytes * offer.cycles)
        return MOST_SLOWDOWN * layers.cycles

    def _score(self, bytes: int, cycles: float, enough: float) -> tuple[float, ...]:
        """What the objective makes as small as possible; fewer cycles than `enough` are worth no bytes of a limit."""
        if self._options.objective is not Objective.BALANCED:
            return cycles, bytes
        if self._options.uses_limit:
            return max(cycles, enough), bytes, cycles
        return bytes * cycles, bytes

    def _offers(self, drafts: list[_Draft], limit: int | None) -> Iterator[_Offer]:
        """All schedules with all kernels that are worth their bytes, within a limit."""
        for draft in drafts:
            for at, cycles in zip(draft.curve.limits.tolist(), draft.curve.cycles.tolist(), strict=True):
                if limit is None or at <= limit:
                    yield _Offer(draft, at, cycles)

    @cached_property
    def _layers(self) -> _Draft:
        return self._draft(self._search.layers.runs, self._graph.macs)

    def _drafts(self, repeats: bool, limit: int | None, layer_share: float = 1.0) -> list[_Draft]:
        """Schedules for limits of bytes from the least to where all kernels are the fastest, or to a limit; whole
        layers take a share of these at most."""
        options, search = self._options, self._search
        takes_layers = options.schedule in (Schedule.AUTO, Schedule.LAYER) or not search.by_rows
        layers = [self._layers] if takes_layers else []
        if options.schedule is Schedule.LAYER or not search.by_rows:
            return layers
        cuts = search.cuts(repeats)
        least, most = cuts.least_peak(), int(self._layers.curve.limits[-1])
        most = max(most if limit is None else min(most, limit), least)
        limits = np.unique(np.geomspace(max(least, 1), max(most, 1), SCHEDULE_LIMITS).astype(int)).tolist()
        prices = KernelPrices(search.graph, self._choices)
        chosen = search.bearable(cuts.cheapest_with_kernels([least, *limits[1:]], prices.of_runs, layer_share))
        return layers + [self._draft(choice.runs, choice.macs) for choice in chosen]

    def _draft(self, runs: tuple[Run, ...] | None, macs: int) -> _Draft:
        search = self._search
        if runs is None:
            needs, least = layer_needs(self._graph, search.rounding)
        else:
            needs, least = needs_of_nodes(search.graph, stage_runs(search.graph, runs))
        return _Draft(runs, macs, ScheduleCycles(needs, self._choices, least))

    def _best_planned(self, offers: list[_Offer], limit: int | None) -> FrontierPoint | None:
        """The best of some offers with a layout that stays within a limit; None where none was found.

        All are laid out quickly, and the best of these with care as long as that can give a better one.
        """
        laid_out = [(self._laid_out(o.draft, o.draft.curve.kernel_limits(o.limit_bytes), 0.0), o.draft) for o in offers]
        likely = sorted(laid_out, key=lambda item: self._score_of(item[0]))[:SCHEDULES_TRIED]
        best: FrontierPoint | None = None
        for point, draft in sorted(likely, key=lambda item: self._score_at_best(item[0])):
            if best is not None and self._score_of(best) <= self._score_at_best(point):
                break
            if point.arena_bytes > LOOSE * point.plan.bound_bytes:
                point = self._laid_out(draft, point.kernel_limits, self._options.effort, point.plan)
            if limit is None or point.arena_bytes <= limit:
                best = point if best is None or self._score_of(point) < self._score_of(best) else best
        return best

    def _shrunk(self, offer: _Offer, limit: int, below_cycles: float = inf) -> FrontierPoint | None:
        """A schedule with slower kernels, as far as a layout needs them to stay within a limit; None if it never does,
        or not with fewer cycles than `below_cycles`.

        Layouts are quick, but for one that is close to the limit. They are given up where less scratch does not bring
        them half of the way to the limit, and where there is a plan already of which they are far.
        """
        draft, live, careful, tried = offer.draft, offer.limit_bytes, True, None
        lacked = inf if below_cycles == inf else 2 * FAR * limit
        for _ in range(ATTEMPTS):
            limits = draft.curve.kernel_limits(live)
            if limits == tried or draft.curve.cycles_with(limits) >= below_cycles:
                return None
            tried = limits
            found = self._laid_out(draft, limits, QUICK_EFFORT * self._options.effort)
            if careful and found.plan.bound_bytes <= limit < found.arena_bytes <= CLOSE * limit:
                found, careful = self._laid_out(draft, limits, self._options.effort), False
            if found.arena_bytes <= limit:
                return found
            lacking = found.arena_bytes - limit
            if 2 * lacking > lacked:
                return None
            live, lacked = min(live, limit) - lacking, lacking
        return None

    def _within_least(self, limit: int | None) -> FrontierPoint:
        """The plan that the options ask for with plain kernels, or another one of no more bytes, with the fastest
        kernels for which it has room."""
        plain = self._search.best(limit)
        room = plain.arena_bytes
        if limit is not None and self._options.objective is not Objective.SRAM:
            room = max(limit, room)
        filled = self._in_gaps(plain, room)
        for offer in self._best_of(self._drafts(self._search.may_repeat, room), room)[:SCHEDULES_TRIED]:
            if offer.cycles * WORTH < filled.cycles:
                return self._shrunk(offer, room, filled.cycles) or filled
        return filled

    def _in_gaps(self, point: FrontierPoint, room: int) -> FrontierPoint:
        """A plan with plain kernels, with the fastest ones that fit where it leaves room in so many bytes."""
        gaps = find_gaps(point.plan, room)
        by_node: dict[int, Gap] = {}
        for stage, gap in zip(point.plan.stages, gaps, strict=True):
            if stage.node is not None:
                by_node[stage.node] = by_node[stage.node].joined(gap) if stage.node in by_node else gap
        curve = self._draft(point.runs, point.macs).curve
        limits = curve.limits_in_gaps(by_node)
        for instead in (lambda limit: replace(limit, apart=False), lambda _: PLAIN):
            leaning = self._leaning(point, gaps, self._choices.choose(limits))
            limits = tuple(instead(limit) if node in leaning else limit for node, limit in enumerate(limits))
        graph = self._choices.choose(limits)
        if point.runs is None:
            scratch = scratch_of_layers(graph, self._search.rounding)
        else:
            rows = row_graph(graph, self._search.rounding, self._options.input_by_rows)
            scratch = scratch_of_stages(rows, stage_runs(rows, point.runs))
        plan = fill_gaps(point.plan, scratch, gaps)
        return replace(point, plan=plan, cycles=curve.cycles_with(limits), kernel_limits=limits)

    def _leaning(self, point: FrontierPoint, gaps: list[Gap], graph: Graph) -> set[int]:
        """The nodes that have a part whose output lies over an input, while its kernel must keep off that: a part may
        have another kernel than its node."""
        search, found = self._search, set()
        staged = None if point.runs is None else stage_runs(search.graph, point.runs)
        for number, (stage, gap) in enumerate(zip(point.plan.stages, gaps, strict=True)):
            if stage.node is not None and not gap.apart:
                by_rows = staged is not None and not staged.stages[number].layer
                site = part_of(graph, stage)
                if not site.may_overlap(by_rows and site.op.rows(site) is not None):
                    found.add(stage.node)
        return found

    def _laid_out(
        self, draft: _Draft, limits: tuple[KernelLimit, ...], effort: float, quicker: Plan | None = None
    ) -> FrontierPoint:
        """A schedule with kernels; `quicker` is its plan with no effort, if it was made."""
        graph, rounding = self._choices.choose(limits), self._search.rounding
        if draft.runs is None:
            plan = plan_layers(graph, rounding, effort)
        else:
            rows = row_graph(graph, rounding, self._options.input_by_rows)
            plan = lay_out(rows, stage_runs(rows, draft.runs), effort, quicker=quicker)
        cycles = draft.curve.cycles_with(limits)
        return FrontierPoint(plan, cycles, draft.macs, draft.runs, limits)
