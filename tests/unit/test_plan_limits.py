"""Graphs made to cost the planner much, and tensors beyond the reach of the tables of row offsets."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.passes.network import Network
from tests.unit.test_row_plans import weights
from thimble.codegen.project import generate_project
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.add_sub import Add
from thimble.compiler.ops.mul import Mul
from thimble.compiler.ops.reduce import Mean
from thimble.compiler.ops.sigmoid import Logistic
from thimble.compiler.ops.window import Padding
from thimble.compiler.plan import search
from thimble.compiler.plan.checker import check_plan
from thimble.compiler.plan.options import Objective, PlanOptions, Schedule
from thimble.compiler.plan.plan import ADDRESSABLE_BYTES, Plan
from thimble.compiler.plan.planner import plan_graph
from thimble.compiler.plan.row_graph import row_graph
from thimble.compiler.plan.row_plan import live_pairs, plan_runs
from thimble.compiler.plan.runs import Recipe, Run
from thimble.compiler.plan.stages import stage_runs
from thimble.targets.model import load_target

CPU_LIMIT_S = 60
"""About four times what any of these graphs takes."""


def branches(count: int, rows: int) -> Graph:
    """So many convolutions of one input, all of them outputs."""
    n = Network()
    x = n.input((1, rows, 4, 4))
    return n.graph(*[n.conv(x, weights(4, 3, 3, 4), padding=Padding.SAME) for _ in range(count)])


def sums(count: int, rows: int) -> Graph:
    """So many convolutions of one input, all made before the first sum of them: no row dies early."""
    n = Network()
    x = n.input((1, rows, 4, 4))
    made = [n.conv(x, weights(4, 3, 3, 4), padding=Padding.SAME) for _ in range(count)]
    total = made[0]
    for other in made[1:]:
        total = n.node(Add(Activation.NONE), total, other)
    return n.graph(total)


def depthwise(count: int, rows: int) -> Graph:
    """So many depthwise convolutions in a chain."""
    n = Network()
    x = n.input((1, rows, 4, 4))
    for _ in range(count):
        x = n.conv(x, weights(1, 3, 3, 4), padding=Padding.SAME, depthwise=True)
    return n.graph(x)


HOSTILE: dict[str, Callable[[], Graph]] = {
    "150 open branches": lambda: branches(150, 16),
    "60 branches summed": lambda: sums(60, 16),
    "240 branches summed": lambda: sums(240, 16),
    "chain of 400": lambda: depthwise(400, 10),
}


def cpu_seconds(graph: Graph, options: PlanOptions) -> float:
    """The time that a plan takes, which must be sound."""
    start = time.process_time()
    plan = plan_graph(graph, options=options)
    seconds = time.process_time() - start
    check_plan(graph, plan)
    return seconds


@pytest.mark.parametrize("name", ["60 branches summed", "240 branches summed"])
def test_balanced_plans_of_hostile_graphs_take_little(name: str) -> None:
    assert cpu_seconds(HOSTILE[name](), PlanOptions()) < CPU_LIMIT_S


@pytest.mark.full
@pytest.mark.parametrize("objective", Objective)
@pytest.mark.parametrize("name", HOSTILE)
def test_all_plans_of_hostile_graphs_take_little(name: str, objective: Objective) -> None:
    assert cpu_seconds(HOSTILE[name](), PlanOptions(objective=objective)) < CPU_LIMIT_S


def test_pairs_are_those_that_live_together() -> None:
    rows = row_graph(sums(5, 8), Rounding.TFLM, True)
    staged = stage_runs(rows, (Run(0, len(rows.nodes), Recipe(1)),))
    lives = [life for s in staged.tiles if not s.whole for life in zip(s.births, s.deaths, strict=True)]
    together = sum(a[0] <= b[1] and b[0] <= a[1] for number, a in enumerate(lives) for b in lives[:number])
    assert live_pairs(staged) == together > 0


def held_back(channels: int, size: int = 64) -> Graph:
    """A tensor of size x size x channels that its own mean scales, so that all of its rows are live at once."""
    n = Network()
    wide = n.conv(n.input((1, size, size, 2)), weights(channels, 1, 1, 2))
    gate = n.node(Logistic(), n.node(Mean((1, 2), True), wide), scale=1 / 256, zero=-128)
    return n.graph(n.conv(n.node(Mul(Activation.NONE), wide, gate), weights(2, 1, 1, channels)))


def far_rows(plan: Plan) -> int:
    """Rows that lie alone where no table of offsets reaches."""
    return sum(b.row is not None and b.offset >= ADDRESSABLE_BYTES for b in plan.buffers)


def test_rows_that_no_table_reaches_lie_in_one_piece() -> None:
    graph = held_back(96)
    rows = row_graph(graph, Rounding.TFLM, True)
    plan = plan_runs(rows, (Run(0, len(rows.nodes), Recipe(1)),), effort=0)
    assert plan.arena_bytes > 64 * 64 * 96 > ADDRESSABLE_BYTES
    assert not far_rows(plan)
    check_plan(graph, plan)


@pytest.mark.parametrize("input_by_rows", [False, True])
@pytest.mark.parametrize("schedule", [Schedule.ROWS, Schedule.AUTO])
def test_plans_of_large_tensors_become_code(schedule: Schedule, input_by_rows: bool) -> None:
    graph = held_back(96)
    options = PlanOptions(schedule, Objective.BALANCED, input_by_rows=input_by_rows, effort=0)
    plan = plan_graph(graph, options=options)
    check_plan(graph, plan)
    assert not far_rows(plan)
    generate_project(graph, plan, load_target("stm32l4r5zi"), "model", Rounding.TFLM)


def test_schedules_of_too_many_live_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = sums(12, 16)
    options = PlanOptions(Schedule.ROWS, Objective.SRAM, input_by_rows=True, effort=0)
    assert any(b.row is not None for b in plan_graph(graph, options=options).buffers)
    monkeypatch.setattr(search, "MAX_LIVE_PAIRS", 0)
    plan = plan_graph(graph, options=options)
    check_plan(graph, plan)
    assert all(b.row is None for b in plan.buffers)
