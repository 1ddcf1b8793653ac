"""Plans by rows: every step finds what it reads, the simulated peak is the plan's own, and the cuts are the best."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from tests.e2e.graph_draw import Choices
from tests.passes.draw_network import draw_network
from tests.passes.network import Network
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.add_sub import Add
from thimble.compiler.ops.mul import Mul
from thimble.compiler.ops.reduce import Mean
from thimble.compiler.ops.reshape import Reshape
from thimble.compiler.ops.sigmoid import Logistic
from thimble.compiler.ops.window import Padding
from thimble.compiler.passes.remove_dead import remove_dead
from thimble.compiler.passes.separate_outputs import separate_outputs
from thimble.compiler.plan.checker import check_plan
from thimble.compiler.plan.cuts import Cuts
from thimble.compiler.plan.layer_plan import plan_layers
from thimble.compiler.plan.options import Objective, PlanOptions, Schedule
from thimble.compiler.plan.planner import frontier, plan_graph
from thimble.compiler.plan.row_graph import RowGraph, row_graph
from thimble.compiler.plan.row_plan import plan_runs
from thimble.compiler.plan.run_costs import RunCosts
from thimble.compiler.plan.runs import AT_ONCE, LAYER, Recipe, Run, find_gates

RECIPES = (
    LAYER,
    AT_ONCE,
    Recipe(1),
    Recipe(2),
    Recipe(3),
    Recipe(1, column_parts=2),
    Recipe(2, column_parts=3),
    Recipe(1, row_parts=2, column_parts=2),
    Recipe(0, row_parts=2),
)


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(-127, 128, shape)


def chain(size: int = 16, channels: int = 8, strides: tuple[int, ...] = (1, 2, 1), kernel: int = 3) -> Graph:
    """Depthwise and pointwise convolutions in turn, as in MobileNet; `kernel` is the size of the depthwise ones."""
    n = Network()
    x = n.input((1, size, size, 2))
    x = n.conv(x, weights(channels, 3, 3, 2), padding=Padding.SAME)
    for stride in strides:
        x = n.conv(x, weights(1, kernel, kernel, channels), padding=Padding.SAME, depthwise=True, stride=stride)
        x = n.conv(x, weights(channels, 1, 1, channels))
    return n.graph(n.node(Mean((1, 2), False), x))


def residual(size: int = 12) -> Graph:
    """A block with a way around it, and a shortcut of its own stride."""
    n = Network()
    x = n.conv(n.input((1, size, size, 3)), weights(8, 3, 3, 3), padding=Padding.SAME)
    y = n.conv(n.conv(x, weights(8, 3, 3, 8), padding=Padding.SAME), weights(8, 3, 3, 8), padding=Padding.SAME)
    x = n.node(Add(Activation.NONE), y, x)
    y = n.conv(n.conv(x, weights(16, 3, 3, 8), padding=Padding.SAME, stride=2), weights(16, 1, 1, 16))
    return n.graph(n.node(Add(Activation.NONE), n.conv(x, weights(16, 1, 1, 8), stride=2), y))


def excited(size: int = 16) -> Graph:
    """Squeeze and excite: the mean of an expanded tensor scales it, and a projection makes it small again."""
    n = Network()
    x = n.conv(n.input((1, size, size, 2)), weights(4, 3, 3, 2), padding=Padding.SAME)
    wide = n.conv(x, weights(24, 1, 1, 4))
    wide = n.conv(wide, weights(1, 3, 3, 24), padding=Padding.SAME, depthwise=True)
    gate = n.node(Mean((1, 2), True), wide)
    gate = n.node(Logistic(), n.conv(gate, weights(24, 1, 1, 24)), scale=1 / 256, zero=-128)
    return n.graph(n.conv(n.node(Mul(Activation.NONE), wide, gate), weights(4, 1, 1, 24)))


def viewed(size: int = 10) -> Graph:
    """A reshape that keeps the rows, and one that needs its value in one piece."""
    n = Network()
    x = n.conv(n.input((1, size, size, 2)), weights(4, 3, 3, 2), padding=Padding.SAME)
    x = n.node(Reshape((1, size, size, 4)), x)
    x = n.conv(x, weights(4, 3, 3, 4), padding=Padding.SAME)
    x = n.node(Reshape((1, size // 2, 2 * size, 4)), x)
    return n.graph(n.conv(x, weights(2, 3, 3, 4), padding=Padding.SAME))


GRAPHS = {"chain": chain, "residual": residual, "excited": excited, "viewed": viewed}


def random_runs(graph: RowGraph, rng: np.random.Generator) -> tuple[tuple[Run, ...], int]:
    """Any runs by any recipes that are possible, and the peak that is simulated for them."""
    recipes = [*RECIPES, *(Recipe(gate=gate) for gate in find_gates(graph))]
    lowest = Cuts(graph, [LAYER])._lowest
    costs, runs, peak = RunCosts(graph), [], 0
    end = len(graph.nodes)
    while end:
        recipe = recipes[rng.integers(len(recipes))]
        possible = list(costs.ending_at(end - 1 if recipe in (LAYER, AT_ONCE) else lowest(end), end, recipe))
        if possible:
            cost = possible[rng.integers(len(possible))]
            runs.append(Run(cost.first, end, recipe))
            peak, end = max(peak, cost.peak_bytes), cost.first
    return tuple(reversed(runs)), peak


@pytest.mark.parametrize("input_by_rows", [False, True])
@pytest.mark.parametrize("name", GRAPHS)
def test_every_step_of_any_schedule_finds_what_it_reads(name: str, input_by_rows: bool) -> None:
    rng = np.random.default_rng(0)
    graph = GRAPHS[name]()
    rows = row_graph(graph, Rounding.TFLM, input_by_rows)
    repeated = 0
    for _ in range(12):
        runs, _ = random_runs(rows, rng)
        repeated += any(run.recipe.repeats for run in runs)
        plan = plan_runs(rows, runs, effort=0)
        check_plan(graph, plan)
    assert repeated or name == "viewed"


@pytest.mark.parametrize("seed", range(40))
def test_random_networks_by_random_schedules(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = separate_outputs(remove_dead(draw_network(Choices.of(rng))))
    for input_by_rows in (False, True):
        rows = row_graph(graph, Rounding.TFLM, input_by_rows)
        for _ in range(3):
            plan = plan_runs(rows, random_runs(rows, rng)[0], effort=0)
            check_plan(graph, plan)


@pytest.mark.parametrize("input_by_rows", [False, True])
@pytest.mark.parametrize("name", GRAPHS)
def test_simulated_peak_is_the_bound_of_the_plan(name: str, input_by_rows: bool) -> None:
    rng = np.random.default_rng(1)
    rows = row_graph(GRAPHS[name](), Rounding.TFLM, input_by_rows)
    for _ in range(12):
        runs, peak = random_runs(rows, rng)
        bound = plan_runs(rows, runs, effort=0).bound_bytes
        # Several operands may share one output row's place, and rows in one piece are not padded to words.
        assert bound <= peak + 64
        assert peak <= 1.15 * bound + 64


@pytest.mark.parametrize("name", GRAPHS)
def test_cuts_are_the_best_of_all(name: str) -> None:
    rows = row_graph(GRAPHS[name](), Rounding.TFLM, True)
    recipes = (LAYER, Recipe(1))
    cuts, costs = Cuts(rows, recipes), RunCosts(rows)
    count = len(rows.nodes)
    priced = {
        (cost.first, end): min(cost.peak_bytes, least.get(cost.first, cost.peak_bytes))
        for end in range(1, count + 1)
        for least in [{c.first: c.peak_bytes for c in costs.ending_at(end - 1, end, LAYER)}]
        for cost in costs.ending_at(0, end, Recipe(1))
    }
    best = min(
        max(priced[a, b] for a, b in zip((0, *cut), (*cut, count), strict=True))
        for size in range(count)
        for cut in combinations(range(1, count), size)
    )
    choice = cuts.cheapest(cuts.least_peak())
    assert choice is not None
    assert cuts.least_peak() == best == choice.peak_bytes
    assert cuts.cheapest(best - 1) is None


def test_frontier_falls_from_layers_to_the_least_bytes() -> None:
    graph = chain(24)
    points = frontier(graph, options=PlanOptions(input_by_rows=True, effort=0))
    assert len(points) >= 4
    for before, after in pairwise(points):
        assert before.arena_bytes > after.arena_bytes
        assert before.cycles < after.cycles
    assert points[0].cycles == 0
    assert points[0].macs == graph.macs
    for point in points:
        check_plan(graph, point.plan)


def test_rows_take_less_than_layers_and_strips_less_than_rows() -> None:
    graph = chain(48, strides=(2, 2, 2))
    layers, rows, strips = (
        plan_graph(graph, options=PlanOptions(schedule, Objective.SRAM, input_by_rows=True, effort=0)).arena_bytes
        for schedule in (Schedule.LAYER, Schedule.ROWS, Schedule.AUTO)
    )
    assert strips < rows < layers / 2


def test_computing_twice_saves_the_tensor_that_a_gate_holds_back() -> None:
    graph = excited()
    rows = row_graph(graph, Rounding.TFLM, True)
    (gate,) = find_gates(rows)
    whole = 16 * 16 * 24
    once, twice = Cuts(rows, [LAYER, Recipe(1)]), Cuts(rows, [LAYER, Recipe(1), Recipe(gate=gate)])
    assert once.least_peak() > whole > 2 * twice.least_peak()
    choice = twice.cheapest(twice.least_peak())
    assert choice is not None
    assert graph.macs < choice.macs < 2 * graph.macs


def test_limit_of_bytes_is_kept_at_the_fewest_cycles() -> None:
    graph = chain(24)
    least = plan_graph(graph, options=PlanOptions(Schedule.ROWS, Objective.SRAM, input_by_rows=True, effort=0))
    limit = 2 * least.arena_bytes
    plan = plan_graph(
        graph, options=PlanOptions(objective=Objective.LATENCY, max_sram_bytes=limit, input_by_rows=True, effort=0)
    )
    assert least.arena_bytes < plan.arena_bytes <= limit
    assert len(plan.steps) < len(least.steps)


def test_layers_are_taken_where_they_are_better() -> None:
    n = Network()
    graph = n.graph(n.connected(n.connected(n.input((1, 40)), weights(30, 40)), weights(5, 30)))
    assert plan_graph(graph) == plan_layers(graph)


def test_same_plan_each_time() -> None:
    options = PlanOptions(objective=Objective.SRAM, input_by_rows=True, effort=0)
    assert plan_graph(residual(), options=options) == plan_graph(residual(), options=options)
