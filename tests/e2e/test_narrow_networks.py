"""Random networks on int4 and int2: passes and plans of every kind give the bytes of the integer reference."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.graph_draw import Choices, NotPossible
from tests.forced_overlap import over_first_operand
from tests.host_batch import run_on_host
from tests.kernels.narrow_draws import narrower
from tests.passes.draw_network import draw_network
from tests.passes.network import draw_samples, run
from thimble.compiler.exporters.tflite import export_tflite
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.errors import UnsupportedOp
from thimble.compiler.ir.graph import Graph, Role
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.ir.types import DType
from thimble.compiler.passes.pipeline import run_passes
from thimble.compiler.plan.options import Objective, PlanOptions, Schedule
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.planner import plan_graph, plan_layers
from thimble.quantize.narrow import NarrowValue, narrow, narrow_weights
from thimble.quantize.weights import has_weights

NETWORKS = 40
WIDTHS = (DType.INT8, DType.INT4, DType.INT2)
LEAST = PlanOptions(Schedule.ROWS, Objective.SRAM, input_by_rows=False, effort=0)


def narrowed(seed: int) -> Graph:
    """A random network of which random weights and values are narrow."""
    rng = np.random.default_rng([7, seed])
    graph = draw_network(Choices.of(np.random.default_rng(seed)))
    weights = {
        position: narrow_weights(site, WIDTHS[rng.integers(3)])
        for position, site in enumerate(graph.sites)
        if has_weights(site) and set(site.input(1).quant.zero_points) == {0}
    }
    forms = {}
    for index, value in enumerate(graph.values):
        dtype = WIDTHS[rng.integers(3)]
        if value.role is Role.ACTIVATION and value.type.dtype is DType.INT8 and dtype is not DType.INT8:
            forms[index] = NarrowValue(dtype, narrower(value.quant, dtype, rng))
    return narrow(graph, weights, forms).graph


@cache
def networks() -> tuple[Graph, ...]:
    """Those that can be drawn and hold something narrow."""
    found = []
    for seed in range(NETWORKS):
        try:
            graph = narrowed(seed)
        except (NotPossible, UnsupportedOp):
            continue
        found += [graph] if any(value.type.dtype.is_packed for value in graph.values) else []
    assert len(found) > NETWORKS // 3
    return tuple(found)


def by_rows(graph: Graph, rounding: Rounding) -> Plan:
    return plan_graph(graph, rounding, LEAST)


@pytest.mark.parametrize("plan_of", [plan_layers, over_first_operand, by_rows], ids=["layers", "over", "rows"])
def test_plans(plan_of: Callable[[Graph, Rounding], Plan], tmp_path: Path) -> None:
    samples = [draw_samples(graph, 3) for graph in networks()]
    got = run_on_host(networks(), samples, tmp_path, plan_of=plan_of, poison=True)
    for graph, given, outputs in zip(networks(), samples, got, strict=True):
        assert [[array.tobytes() for array in sample] for sample in outputs] == run(graph, given)


def test_passes_keep_the_bytes() -> None:
    for graph in networks():
        samples = draw_samples(graph, 3)
        assert run(run_passes(graph), samples) == run(graph, samples)


def test_files_hold_the_same_network() -> None:
    written = 0
    for graph in networks():
        try:
            file = export_tflite(graph)
        except UnsupportedOp:
            continue
        written += 1
        samples = draw_samples(graph, 2)
        assert run(import_tflite(file, "again"), samples) == run(graph, samples)
    assert written > 10
