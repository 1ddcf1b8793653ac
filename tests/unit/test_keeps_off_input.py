"""Kernels that must keep off their input: the planner lays nothing that they write over what they read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.graphs import read_graph
from thimble.compiler.driver import demo
from thimble.compiler.ir.graph import Graph, Site
from thimble.compiler.ir.operator import KernelCall
from thimble.compiler.plan.checker import PlanError, check_plan
from thimble.compiler.plan.layer_plan import plan_layers
from thimble.compiler.plan.options import Objective, PlanOptions, Schedule
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.planner import plan_graph


@pytest.fixture(scope="module")
def graph() -> Graph:
    return read_graph(demo.model_path())


def keeping_off(graph: Graph) -> Graph:
    """The graph with every kernel made one that must keep off its input."""

    def specialise(site: Site, call: KernelCall, whole: bool) -> KernelCall:
        return replace(call, overlaps=False)

    return replace(graph, specialise=(specialise,) * len(graph.nodes))


def planned(graph: Graph, schedule: Schedule, by_rows: bool) -> Plan:
    if schedule is Schedule.LAYER:
        return plan_layers(graph)
    options = PlanOptions(schedule=schedule, objective=Objective.SRAM, input_by_rows=by_rows, effort=0.05)
    return plan_graph(graph, options=options)


@pytest.mark.parametrize(
    ("schedule", "by_rows"),
    [(Schedule.LAYER, False), (Schedule.ROWS, False), (Schedule.ROWS, True), (Schedule.PATCH, True)],
)
def test_planner_and_checker_honour_it(graph: Graph, schedule: Schedule, by_rows: bool) -> None:
    free, bound = graph, keeping_off(graph)
    over_input = planned(free, schedule, by_rows)
    check_plan(free, over_input)
    with pytest.raises(PlanError, match="before it has read all"):
        check_plan(bound, over_input)
    apart = planned(bound, schedule, by_rows)
    check_plan(bound, apart)
    check_plan(free, apart)
    assert apart.arena_bytes > over_input.arena_bytes
