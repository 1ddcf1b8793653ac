"""Outputs over operands: distances are the least that the checker takes, and the C gives the same bytes there."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.graph_draw import Choices
from tests.e2e.graph_ops import draw_model
from tests.forced_overlap import element_bytes, over_first_operand, over_last_operand, slides_of
from tests.graphs import graph_of
from tests.host_batch import run_on_host
from tests.ops.case import OpCase
from tests.ops.equal_bytes import assert_same_bytes
from tests.ops.samples import draw_samples
from tests.ops.table import CASES
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.executor import Executor
from thimble.compiler.plan.access import KERNELS
from thimble.compiler.plan.checker import PlanError, check_plan
from thimble.compiler.plan.layer_plan import plan_layers
from thimble.compiler.plan.plan import Plan

MODELS_PER_ROW = 3
VARIANTS = (over_first_operand, over_last_operand)


def draw_case(case: OpCase, seed: int) -> tuple[Graph, list[list[np.ndarray]]]:
    rng = np.random.default_rng([zlib.crc32(case.id.encode()), seed])
    graph = import_tflite(case.draw(rng), f"{case.id} {seed}")
    return graph, draw_samples(case, rng, graph)


def rows_with_overlap() -> list[OpCase]:
    found = []
    for case in CASES:
        graphs = [draw_case(case, seed)[0] for seed in range(MODELS_PER_ROW)]
        if any(slides_of(graph, plan_layers(graph, effort=0)) for graph in graphs):
            found.append(case)
    return found


ROWS = rows_with_overlap()


def test_the_operators_that_matter_have_overlaps() -> None:
    names = " ".join(case.id for case in ROWS)
    for wanted in ("conv_2d", "depthwise", "average_pool", "max_pool", "add", "mul", "relu", "quantize", "logistic"):
        assert wanted in names.lower(), f"no row of {wanted} overlaps: {names}"


def test_only_kernels_whose_loops_were_read_overlap() -> None:
    """A new kernel of an operator with overlaps needs a look at its loops, an entry there and maybe other distances."""
    used: set[str] = set()
    for case in ROWS:
        for seed in range(MODELS_PER_ROW):
            for site in draw_case(case, seed)[0].sites:
                for rounding in Rounding if site.op.overlaps(site) else ():
                    used |= {call.kernel for call in site.op.lower(site, rounding)}
    assert used <= KERNELS
    assert {"conv_2d_s8", "depthwise_conv_2d_s8", "add_s8", "lookup_s8", "fully_connected_litert_s8"} <= used


def is_grouped(graph: Graph) -> bool:
    return any(
        isinstance(site.op, Conv2D) and site.input(0).type.shape[3] != site.input(1).type.shape[3]
        for site in graph.sites
    )


@pytest.mark.parametrize("case", ROWS, ids=lambda case: case.id)
def test_distance_is_the_least_that_the_checker_takes(case: OpCase) -> None:
    for seed in range(20):
        graph, _ = draw_case(case, seed)
        for variant in VARIANTS:
            plan = variant(graph)
            check_plan(graph, plan)
            for slide in slides_of(graph, plan):
                over, under = plan.buffers[slide.over], plan.buffers[slide.under]
                unit = max(element_bytes(graph, over), element_bytes(graph, under))
                distance = -(-slide.distance // unit) * unit
                late = replace(over, offset=under.offset - distance + unit)
                if under.offset - over.offset != distance or late.offset >= under.end or is_grouped(graph):
                    continue
                buffers = tuple(late if i == slide.over else b for i, b in enumerate(plan.buffers))
                with pytest.raises(PlanError):
                    check_plan(graph, replace(plan, buffers=buffers, arena_bytes=plan.arena_bytes + unit))


@pytest.mark.parametrize("case", [case for case in CASES if case not in ROWS], ids=lambda case: case.id)
def test_the_checker_takes_no_overlap_of_kernels_that_it_does_not_know(case: OpCase) -> None:
    for seed in range(MODELS_PER_ROW):
        graph, _ = draw_case(case, seed)
        plan = over_first_operand(graph)
        homes = {b.value: i for i, b in enumerate(plan.buffers) if b.value is not None}
        node = graph.nodes[-1]
        operands = [homes[i] for i in node.inputs if i in homes and plan.buffers[homes[i]].bytes]
        made = [homes[i] for i in node.outputs if i in homes and plan.buffers[homes[i]].bytes]
        if not operands or not made:
            continue
        under, over = plan.buffers[operands[0]], plan.buffers[made[0]]
        moved = replace(over, offset=under.offset)
        buffers = tuple(moved if b is over else b for b in plan.buffers)
        with pytest.raises(PlanError):
            check_plan(graph, replace(plan, buffers=buffers, arena_bytes=plan.arena_bytes + over.bytes))


def compare_on_host(
    graphs: list[Graph],
    samples: list[list[list[np.ndarray]]],
    folder: Path,
    plan_of: Callable[[Graph, Rounding], Plan],
) -> None:
    """The C of all graphs against the integer reference."""
    results = run_on_host(graphs, samples, folder, plan_of=plan_of)
    for graph, inputs, result in zip(graphs, samples, results, strict=True):
        executor = Executor(graph)
        for number, sample in enumerate(inputs):
            for got, want in zip(result[number], executor.invoke(sample), strict=True):
                assert_same_bytes(got, want, f"{graph.name}, inference {number}")


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.__name__)
def test_all_rows_of_the_operator_table_overlapped(variant: Callable[..., Plan], tmp_path: Path) -> None:
    pairs = [draw_case(case, seed) for case in ROWS for seed in range(MODELS_PER_ROW)]
    compare_on_host([graph for graph, _ in pairs], [samples for _, samples in pairs], tmp_path, variant)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.__name__)
def test_random_graphs_overlapped(variant: Callable[..., Plan], tmp_path: Path) -> None:
    graphs, samples = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        graph = graph_of(draw_model(Choices.of(rng)), Path("random.tflite"))
        types = [graph.values[i].type for i in graph.inputs]
        graphs.append(graph)
        samples.append([[rng.integers(-100, 100, t.shape).astype(t.dtype.numpy) for t in types] for _ in range(3)])
    compare_on_host(graphs, samples, tmp_path, variant)
