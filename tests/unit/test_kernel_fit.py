"""Kernels chosen with the schedule: within their limits, never slower for more bytes, the best of what is tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from tests.unit.test_row_plans import GRAPHS, chain, excited, random_runs, residual
from thimble.codegen.kernels import KernelSettings, kernels_by_limit
from thimble.compiler.driver.kernel_choice import kernel_choices
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.checker import check_plan
from thimble.compiler.plan.cuts import Cuts
from thimble.compiler.plan.gaps import Gap, find_gaps
from thimble.compiler.plan.kernel_fit import MOST_SLOWDOWN, SCHEDULES_TRIED, KernelFit, _Draft
from thimble.compiler.plan.kernel_prices import KernelPrices
from thimble.compiler.plan.kernels import PLAIN, KernelChoices, KernelLimit, KernelOption, ScheduleCycles
from thimble.compiler.plan.layer_plan import layer_needs, plan_layers
from thimble.compiler.plan.options import Objective, PlanOptions, Schedule
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.planner import KernelPlan, kernel_frontier, plan_graph, plan_kernels
from thimble.compiler.plan.row_graph import RowGraph, row_graph
from thimble.compiler.plan.row_plan import needs_of_nodes, plan_runs
from thimble.compiler.plan.run_costs import RunCosts
from thimble.compiler.plan.runs import AT_ONCE, LAYER, Recipe, Run
from thimble.compiler.plan.search import FrontierPoint, Search
from thimble.compiler.plan.stages import stage_runs
from thimble.targets.model import load_target

CHIP = "stm32l4r5zi"


def made_up(graph: Graph) -> KernelChoices:
    """Three kernels a node, the fastest of which wants most scratch; every third node's keeps off its input."""

    def cycles(base: float, a_row: float, rows: float) -> float:
        return base + a_row * rows

    options = [
        tuple(
            KernelOption(
                KernelLimit(scratch),
                scratch,
                node % 3 > 0 or not scratch,
                partial(cycles, 50.0, 1000.0 / (scratch + 20)),
            )
            for scratch in (600 + 8 * node, 96, 0)
        )
        for node in range(len(graph.nodes))
    ]
    return KernelChoices(options, options, lambda limits: graph)


def real(graph: Graph) -> KernelChoices:
    """The kernels of a chip."""
    found = kernel_choices(graph, load_target(CHIP), CompileOptions(), KernelSettings())
    assert found is not None
    return found


def planned(
    graph: Graph, objective: Objective, limit: int | None = None, uses_limit: bool = False, input_by_rows: bool = False
) -> KernelPlan:
    asked = PlanOptions(Schedule.AUTO, objective, limit, uses_limit, input_by_rows, effort=0.1)
    made = plan_kernels(graph, real(graph), Rounding.TFLM, asked)
    check_plan(made.graph, made.plan)
    return made


@pytest.mark.parametrize("input_by_rows", [False, True])
@pytest.mark.parametrize("name", GRAPHS)
def test_bytes_live_at_the_calls_of_each_node(name: str, input_by_rows: bool) -> None:
    rng, graph = np.random.default_rng(1), row_graph(GRAPHS[name](), Rounding.TFLM, input_by_rows)
    costs = RunCosts(graph, by_node=True)
    for _ in range(12):
        runs, _ = random_runs(graph, rng)
        needs, _ = needs_of_nodes(graph, stage_runs(graph, runs))
        for run in runs:
            found = next(c for c in costs.ending_at(run.first, run.end, run.recipe) if c.first == run.first)
            assert found.nodes is not None
            for node, live in zip(range(run.first, run.end), found.nodes.live_bytes.tolist(), strict=True):
                index = graph.nodes[node].node
                if index is not None:  # what lies in one piece is not padded
                    assert 0 < live <= 1.15 * needs[index].live_bytes + 64


@pytest.mark.parametrize("name", GRAPHS)
def test_more_bytes_never_cost_cycles(name: str) -> None:
    graph = GRAPHS[name]()
    choices = made_up(graph)
    needs, least = layer_needs(graph, Rounding.TFLM)
    curve = ScheduleCycles(needs, choices, least)
    assert curve.limits[0] == least
    assert all(b > a for a, b in pairwise(curve.limits.tolist()))
    assert all(b < a for a, b in pairwise(curve.cycles.tolist()))
    for limit, cycles in zip(curve.limits.tolist(), curve.cycles.tolist(), strict=True):
        chosen = curve.kernel_limits(limit)
        assert curve.cycles_with(chosen) == pytest.approx(cycles, abs=1)
        for node, need in needs.items():
            option = next(o for o in choices.whole[node] if o.limit == chosen[node])
            assert need.bytes_with(option) <= limit or option is choices.whole[node][-1]


@pytest.mark.parametrize("graph", [chain, residual, excited])
def test_no_schedule_is_faster_within_a_limit(graph: Callable[[], Graph]) -> None:
    rows = row_graph(graph(), Rounding.TFLM, True)
    choices = made_up(rows.graph)
    cuts = Cuts(rows, (LAYER, AT_ONCE, Recipe(1), Recipe(2), Recipe(4)), by_node=True)
    limits = [cuts.least_peak() + extra for extra in (0, 150, 700, 2000)]
    prices = KernelPrices(rows, choices)
    best = [cycles_within(rows, choices, cuts.cheapest_with_kernels([n], prices.of_runs)[0].runs, n) for n in limits]
    assert all(after <= before for before, after in pairwise(best))
    rng, tried = np.random.default_rng(2), 0
    for _ in range(60):
        runs, peak = random_runs(rows, rng)
        if any(run.recipe.repeats for run in runs):
            continue
        for limit, cycles in zip(limits, best, strict=True):
            if peak <= limit:
                tried += 1
                assert cycles_within(rows, choices, runs, limit) >= cycles - len(runs)
    assert tried


def cycles_within(graph: RowGraph, choices: KernelChoices, runs: Sequence[Run], limit: int) -> float:
    needs, least = needs_of_nodes(graph, stage_runs(graph, runs))
    curve = ScheduleCycles(needs, choices, least)
    return float(curve.cycles[np.searchsorted(curve.limits, limit, side="right") - 1])


@pytest.mark.parametrize("input_by_rows", [False, True])
def test_fast_kernels_for_nothing_where_there_is_room(input_by_rows: bool) -> None:
    graph = chain(size=24, channels=16, strides=(1, 2, 2, 1, 1))
    made = planned(graph, Objective.SRAM, input_by_rows=input_by_rows)
    plain = plan_graph(graph, options=PlanOptions(objective=Objective.SRAM, effort=0.1, input_by_rows=input_by_rows))
    assert made.plan.arena_bytes == plain.arena_bytes
    assert made.plan.scratch_bytes > 0


@pytest.mark.parametrize("parts", [2, 4])
def test_parts_lie_off_their_input_where_their_kernels_must(parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In column strips, a part may get another kernel than its node: one that must keep off an input over which the
    plain layout puts its output. The checker refuses such a plan."""
    looked, found = KernelFit._leaning, list[set[int]]()

    def leaning(self: KernelFit, point: FrontierPoint, gaps: list[Gap], graph: Graph) -> set[int]:
        found.append(looked(self, point, gaps, graph))
        return found[-1]

    monkeypatch.setattr(KernelFit, "_leaning", leaning)
    graph = chain(32, 24, (2, 2, 1, 1), kernel=2)
    options = PlanOptions(objective=Objective.SRAM, input_by_rows=True, effort=0)
    search = Search(graph, Rounding.TFLM, options, None, by_node=True)
    layers = (Run(node, node + 1, LAYER) for node in range(5, len(search.graph.nodes)))
    runs = (Run(0, 5, Recipe(1, column_parts=parts)), *layers)
    plain = FrontierPoint(plan_runs(search.graph, runs, 0.0), 0, graph.macs, runs)
    filled = KernelFit(graph, real(graph), options, search)._in_gaps(plain, plain.arena_bytes + 400)
    check_plan(real(graph).choose(filled.kernel_limits), filled.plan)
    assert any(found)
    assert filled.plan.scratch_bytes > 0


def test_limits_are_kept_and_used() -> None:
    graph = chain(size=24, channels=16, strides=(1, 2, 2, 1, 1))
    fastest = planned(graph, Objective.LATENCY).plan.arena_bytes
    least = planned(graph, Objective.SRAM).plan.arena_bytes
    for limit in (least + 100, (least + fastest) // 2, fastest):
        made = planned(graph, Objective.BALANCED, limit, uses_limit=True)
        assert made.plan.arena_bytes <= limit


def test_layers_alone_where_nothing_else_is_asked_for() -> None:
    graph = residual()
    asked = PlanOptions(Schedule.LAYER, Objective.LATENCY, effort=0)
    made = plan_kernels(graph, real(graph), Rounding.TFLM, asked)
    check_plan(made.graph, made.plan)
    assert len(made.plan.steps) == len(graph.nodes)
    assert made.plan.scratch_bytes > 0


def test_frontier_of_kernels_falls_in_bytes() -> None:
    graph = chain(size=24, channels=16, strides=(1, 2, 2, 1, 1))
    points = kernel_frontier(graph, real(graph), Rounding.TFLM, PlanOptions(input_by_rows=True, effort=0))
    assert len(points) >= 5
    assert all(b.plan.arena_bytes < a.plan.arena_bytes for a, b in pairwise(points))
    for point in points:
        check_plan(point.graph, point.plan)


@pytest.mark.parametrize("objective", Objective)
def test_plans_take_no_more_cycles_than_are_allowed(objective: Objective) -> None:
    graph = chain(size=24, channels=16, strides=(1, 2, 2, 1, 1))
    asked = PlanOptions(objective=objective, effort=0.1)
    fastest = plan_kernels(graph, real(graph), Rounding.TFLM, replace(asked, objective=Objective.LATENCY))
    least = plan_kernels(graph, real(graph), Rounding.TFLM, replace(asked, objective=Objective.SRAM))
    most = (fastest.cycles + least.cycles) // 2
    made = plan_kernels(graph, real(graph), Rounding.TFLM, replace(asked, max_cycles=most))
    check_plan(made.graph, made.plan)
    assert made.cycles <= most < least.cycles
    assert least.plan.arena_bytes < made.plan.arena_bytes <= fastest.plan.arena_bytes
    assert plan_kernels(graph, real(graph), Rounding.TFLM, replace(asked, max_cycles=1)).cycles <= fastest.cycles


def test_plain_kernels_take_no_more_cycles_than_are_allowed() -> None:
    graph = chain(size=24, channels=16, strides=(1, 2, 2, 1, 1))
    asked = PlanOptions(objective=Objective.SRAM, effort=0.1)
    least = plan_kernels(graph, None, Rounding.TFLM, asked)
    made = plan_kernels(graph, None, Rounding.TFLM, replace(asked, max_cycles=least.cycles - 1))
    check_plan(graph, made.plan)
    assert made.cycles < least.cycles
    assert made.plan.arena_bytes > least.plan.arena_bytes


def test_gaps_hold_nothing() -> None:
    plan = plan_layers(residual())
    for stage, gap in enumerate(find_gaps(plan, plan.arena_bytes + 64)):
        (step,) = (number for number, step in enumerate(plan.steps) if step.stage == stage)
        live = [b for b in plan.buffers if b.first_step <= step <= b.last_step]
        assert gap.bytes >= 64
        assert gap.offset % 8 == 0
        assert not any(b.offset < gap.offset + gap.bytes and gap.offset < b.end for b in live)


def test_same_kernels_each_time() -> None:
    first, second = (planned(residual(), Objective.BALANCED) for _ in range(2))
    assert first.plan == second.plan
    assert first.kernel_limits == second.kernel_limits


def fitted(schedule: Schedule, limit: int | None = None) -> FrontierPoint:
    """What is found for a graph with several schedules by rows."""
    graph, options = chain(32), PlanOptions(schedule, max_sram_bytes=limit, uses_limit=limit is not None, effort=0.1)
    layers = plan_layers(graph, Rounding.TFLM, options.effort)
    search = Search(graph, Rounding.TFLM, options, layers, by_node=True)
    return KernelFit(graph, real(graph), options, search).best(limit)


def test_balanced_rows_hardly_take_more_cycles_than_layers() -> None:
    layers, rows = fitted(Schedule.LAYER), fitted(Schedule.ROWS)
    assert rows.runs is not None
    assert rows.arena_bytes < layers.arena_bytes
    assert rows.cycles <= MOST_SLOWDOWN * layers.cycles


def test_another_schedule_stands_in_where_the_best_ones_have_no_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = fitted(Schedule.ROWS).arena_bytes
    first = fitted(Schedule.ROWS, limit)
    laid_out, scorned = KernelFit._laid_out, set[tuple[Run, ...] | None]()

    def too_large(
        self: KernelFit, draft: _Draft, limits: tuple[int, ...], effort: float, quicker: Plan | None = None
    ) -> FrontierPoint:
        found = laid_out(self, draft, limits, effort, quicker)
        if len(scorned | {draft.runs}) > SCHEDULES_TRIED:
            return found
        scorned.add(draft.runs)
        return replace(found, plan=replace(found.plan, arena_bytes=limit + 1))

    monkeypatch.setattr(KernelFit, "_laid_out", too_large)
    second = fitted(Schedule.ROWS, limit)
    assert first.runs in scorned
    assert second.runs not in scorned
    assert second.arena_bytes <= limit


@pytest.mark.parametrize("chip", [CHIP, "mps3-an547", "stm32g0b1re"])
@pytest.mark.parametrize("name", GRAPHS)
def test_kernels_keep_their_limits(name: str, chip: str) -> None:
    graph, target = GRAPHS[name](), load_target(chip)
    for site in graph.sites:
        for by_rows in (False, True)[: 1 + (site.op.rows(site) is not None)]:
            offered = list(kernels_by_limit(site, target, Rounding.TFLM, by_rows, KernelSettings()))
            for limit, calls in offered[:-1]:
                assert all(limit.allows(call.scratch_bytes, call.is_in_place) for call in calls)
            assert offered[-1][0] == PLAIN


def test_kernels_in_place_are_offered_beside_faster_ones_apart() -> None:
    site = next(site for site in chain(size=24, channels=16).sites if site.op.name == "depthwise_conv_2d")
    offered = kernels_by_limit(site, load_target(CHIP), Rounding.TFLM, True, KernelSettings())
    kinds = {(call.is_in_place, call.source is not None) for _, (call,) in offered}
    assert kinds == {(False, True), (True, True), (True, False)}
