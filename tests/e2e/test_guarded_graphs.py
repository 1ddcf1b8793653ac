"""Random graphs with flags and choices, some within others: plans that leave branches out give the same bytes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.host_batch import run_on_host
from tests.unit.test_guards import IMAGE, Net
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.ops.executor import Executor
from thimble.compiler.ops.has_outliers import HasOutliers
from thimble.compiler.ops.minimum_maximum import Maximum, Minimum
from thimble.compiler.ops.neg import Neg
from thimble.compiler.ops.relu import Relu
from thimble.compiler.ops.select import Select
from thimble.compiler.passes.remove_dead import remove_dead
from thimble.compiler.plan.checker import check_plan
from thimble.compiler.plan.guards import find_flags
from thimble.compiler.plan.order import reorder
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.planner import plan_graph

GRAPHS = 25
NODES = 24


def draw(seed: int) -> Graph:
    """A graph of element-wise nodes, flags about which some samples differ, and choices of any two values."""
    rng = np.random.default_rng([11, seed])
    net, images, flags = Net(), [0], []

    def recent() -> int:
        return images[-1 - min(int(rng.geometric(0.4)) - 1, len(images) - 1)]

    for _ in range(NODES):
        kind = rng.random()
        if kind < 0.2 or not flags:
            limit = int(rng.integers(60, 128))
            flags.append(net.flag(recent(), -128, limit))
        elif kind < 0.5 and len(images) > 2:
            images.append(net.add(Select(), flags[int(rng.integers(len(flags)))], recent(), recent()))
        elif kind < 0.75:
            images.append(net.add((Relu(), Neg())[int(rng.integers(2))], recent()))
        else:
            images.append(net.add((Maximum(), Minimum())[int(rng.integers(2))], recent(), recent()))
    return remove_dead(net.graph(*dict.fromkeys((images[-1], recent()))))


@cache
def graphs() -> tuple[Graph, ...]:
    """As drawn, and in the order of least memory."""
    drawn = [draw(seed) for seed in range(GRAPHS)]
    drawn = [graph for graph in drawn if 0 not in graph.outputs]
    return (*drawn, *map(reorder, drawn))


def plan_of(graph: Graph, rounding: Rounding) -> Plan:
    plan = plan_graph(graph, rounding)
    check_plan(graph, plan)
    return plan


def test_graphs_hold_branches_and_branches_within_branches() -> None:
    found = [find_flags(graph) for graph in graphs()]
    assert sum(map(bool, found)) > len(found) // 2
    nested = [
        any(step in flags and isinstance(node.op, Select | HasOutliers) for step, node in enumerate(graph.nodes))
        for graph, flags in zip(graphs(), found, strict=True)
    ]
    assert any(nested)


@pytest.mark.parametrize("poison", [False, True])
def test_guarded_plans_give_the_bytes_of_the_reference(tmp_path: Path, poison: bool) -> None:
    rng = np.random.default_rng(5)
    samples = [
        [[rng.normal(0, spread, IMAGE.shape).clip(-128, 127).astype(np.int8)] for spread in (5, 30, 45, 60)]
        for _ in graphs()
    ]
    results = run_on_host(graphs(), samples, tmp_path, plan_of=plan_of, poison=poison)
    for number, (graph, inputs, result) in enumerate(zip(graphs(), samples, results, strict=True)):
        for sample, outputs in zip(inputs, result, strict=True):
            for got, want in zip(outputs, Executor(graph).invoke(sample), strict=True):
                assert np.array_equal(got, want), f"graph {number}"
