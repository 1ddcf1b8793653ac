"""Convolutions that write late: the same bytes, rows exactly over dying rows, and a checker that knows."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.graph_draw import Choices, NotPossible
from tests.e2e.test_real_models import KWS
from tests.e2e.test_row_plans import by_rows, bytes_of, recipes, run_firmware
from tests.graphs import read_graph
from tests.host_batch import run_on_host
from tests.passes.draw_network import draw_network
from tests.passes.network import Network, draw_samples, run
from tests.unit.test_ibex import needs_ibex
from thimble.codegen.armv81m.select import has_mve
from thimble.codegen.kernels import choose_kernels
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.driver.planning import least_plan
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.ops.convolution import WindowConvolution
from thimble.compiler.ops.window import Padding
from thimble.compiler.plan.checker import PlanError, check_plan
from thimble.compiler.plan.late import write_late
from thimble.compiler.plan.options import Objective, PlanOptions, Schedule
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.planner import plan_graph
from thimble.compiler.plan.runs import Recipe
from thimble.targets.model import load_target

NETWORKS = 60


def separable(height: int = 12, width: int = 5, channels: int = 16) -> Graph:
    """Depthwise and pointwise convolutions in turn, all of one size."""
    rng = np.random.default_rng(3)
    network = Network()
    x = network.input((1, height, width, channels), zero=-7)
    for _ in range(3):
        x = network.conv(
            x, rng.integers(-90, 91, (1, 3, 3, channels)), [3] * channels, padding=Padding.SAME, depthwise=True
        )
        x = network.conv(x, rng.integers(-90, 91, (channels, 1, 1, channels)), [5] * channels)
    return network.graph(x)


def late_nodes(graph: Graph) -> int:
    return sum(isinstance(node.op, WindowConvolution) and node.op.writes_late for node in graph.nodes)


@pytest.mark.parametrize("poison", [False, True], ids=["invoke", "poisoned"])
def test_random_networks_give_the_same_bytes(poison: bool, tmp_path: Path) -> None:
    graphs = []
    for seed in range(NETWORKS):
        try:
            graphs.append(write_late(draw_network(Choices.of(np.random.default_rng(seed)))))
        except NotPossible:
            continue
    graphs = [g for g in graphs if late_nodes(g) and all(len(g.values[i].type.shape) > 2 for i in g.inputs)]
    assert len(graphs) >= 10
    for graph in graphs:
        check_plan(graph, by_rows(graph, Rounding.TFLM))
    samples = [draw_samples(graph, 4) for graph in graphs]
    got = run_on_host(graphs, samples, tmp_path, plan_of=by_rows, poison=poison)
    for graph, given, outputs in zip(graphs, samples, got, strict=True):
        assert bytes_of(outputs) == run(graph, given)


@pytest.mark.parametrize("recipe", [Recipe(1), Recipe(3), Recipe(1, column_parts=2), Recipe(1, row_parts=2)], ids=str)
def test_rows_strips_and_bands_give_the_same_bytes(recipe: Recipe, tmp_path: Path) -> None:
    graph = write_late(separable())
    assert late_nodes(graph) == 6
    plan_of = recipes((6, recipe))
    check_plan(graph, plan_of(graph, Rounding.TFLM))
    samples = draw_samples(graph, 2)
    (got,) = run_on_host([graph], [samples], tmp_path, plan_of=plan_of, poison=True)
    assert bytes_of(got) == run(separable(), samples)


def test_an_output_row_lies_exactly_over_a_dying_row_and_only_late_kernels_may() -> None:
    """The checker refuses the very plan for the same nodes where they write at once."""
    graph = write_late(separable())
    plan = recipes((6, Recipe(1)))(graph, Rounding.TFLM)
    check_plan(graph, plan)
    rows = [b for b in plan.buffers if b.row is not None]
    assert any(a.offset == b.offset and a.first_step == b.last_step and a.tile != b.tile for a in rows for b in rows)
    with pytest.raises(PlanError, match="before that has been read"):
        check_plan(separable(), plan)


def test_the_checker_refuses_rows_that_begin_a_unit_further_behind() -> None:
    graph = write_late(separable())
    plan = recipes((6, Recipe(1)))(graph, Rounding.TFLM)
    rows = [b for b in plan.buffers if b.row is not None and b.last_step < len(plan.steps) - 1]
    over = next(
        a for a in rows for b in rows if a.offset == b.offset and a.first_step == b.last_step and a.tile != b.tile
    )
    moved = replace(plan, buffers=tuple(replace(b, offset=b.offset + 4) if b is over else b for b in plan.buffers))
    with pytest.raises(PlanError):
        check_plan(graph, moved)


def test_they_are_taken_for_the_least_bytes_and_only_then(data: Path) -> None:
    graph = read_graph(data / "models" / KWS.path)
    asked = PlanOptions(Schedule.ROWS, Objective.SRAM, input_by_rows=True)
    made: list[int] = []

    def make(graph: Graph) -> tuple[Graph, Plan]:
        plan = plan_graph(graph, options=asked)
        made.append(plan.arena_bytes)
        return graph, plan

    found, plan = least_plan(graph, CompileOptions(objective=Objective.BALANCED), make)
    assert late_nodes(found) == 0
    found, plan = least_plan(graph, CompileOptions(objective=Objective.SRAM), make)
    assert late_nodes(found) == 8
    assert plan.arena_bytes == made[-1] < made[0]


CHIPS = ("stm32l4r5zi", "stm32g0b1re", "mps3-an547", pytest.param("ibex-fast", marks=needs_ibex))


@pytest.mark.parametrize("chip", CHIPS)
def test_the_firmware_gives_the_same_bytes(chip: str, tmp_path: Path) -> None:
    """Rows lie where they do for plain C, and a chip's own kernels, which it has without vectors, take no more
    scratch."""
    graph, target = write_late(separable()), load_target(chip)
    plan = recipes((6, Recipe(1)))(graph, Rounding.TFLM)
    own = choose_kernels(graph, target)
    kernels = {call.kernel for site in own.sites for call in site.lower_rows(Rounding.TFLM)}
    assert all(re.search("_late_(scalar|vectors_dsp|pixels_dsp)_", kernel) for kernel in kernels) or has_mve(target)
    assert recipes((6, Recipe(1)))(own, Rounding.TFLM) == plan
    check_plan(own, plan)
    samples = draw_samples(graph, 2)
    outputs = run_firmware(chip, own, plan, samples, tmp_path)
    assert outputs == b"".join(array for sample in run(separable(), samples) for array in sample)
