"""Plans by rows as C: the bytes of layer by layer, also where whatever is dead is overwritten after every step."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.graph_draw import Choices, NotPossible
from tests.e2e.test_real_models import IC, KWS, VWW, RealModel
from tests.graphs import read_graph
from tests.host_batch import run_on_host
from tests.passes.draw_network import draw_network
from tests.passes.network import Network, draw_samples, run
from tests.unit.test_ibex import needs_ibex
from thimble.codegen.project import HOST_CFLAGS, generate_project, generate_sources, render_trace_main
from thimble.compiler.driver import demo
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.executor import Executor
from thimble.compiler.ops.pool_2d import AveragePool2D
from thimble.compiler.ops.window import Padding
from thimble.compiler.plan.options import Objective, PlanOptions, Schedule
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.planner import plan_graph
from thimble.compiler.plan.row_graph import row_graph
from thimble.compiler.plan.row_plan import plan_runs
from thimble.compiler.plan.runs import Recipe, Run
from thimble.targets.build import build_firmware
from thimble.targets.model import load_target
from thimble.targets.sim.simulate import simulate

NETWORKS = 30
LEAST = PlanOptions(Schedule.ROWS, Objective.SRAM, input_by_rows=True, effort=0)
Sample = list[np.ndarray]


def by_rows(graph: Graph, rounding: Rounding) -> Plan:
    """The smallest plan by rows, the input too."""
    return plan_graph(graph, rounding, LEAST)


def recipes(*recipes: tuple[int, Recipe], pulled: bool = True) -> Callable[[Graph, Rounding], Plan]:
    """Plans made of runs: each (end, recipe) goes from the end of the one before, the last to the last node."""

    def plan(graph: Graph, rounding: Rounding) -> Plan:
        nodes = row_graph(graph, rounding, pulled)
        ends = [0, *(end for end, _ in recipes[:-1]), len(nodes.nodes)]
        runs = [Run(*span, recipe) for span, (_, recipe) in zip(pairwise(ends), recipes, strict=True)]
        return plan_runs(nodes, runs, 0)

    return plan


def pyramid() -> Graph:
    """Convolutions with stride and padding, and a global pool: (1, 17, 15, 3) to (1, 4)."""
    rng = np.random.default_rng(0)
    network = Network()
    x = network.input((1, 17, 15, 3), zero=-5)

    def weights(*shape: int) -> np.ndarray:
        return rng.integers(-90, 91, shape)

    x = network.conv(x, weights(6, 3, 3, 3), [5] * 6, padding=Padding.SAME, stride=2, zero=-20)
    x = network.conv(x, weights(1, 3, 3, 6), [1] * 6, padding=Padding.SAME, depthwise=True, zero=3)
    x = network.conv(x, weights(5, 1, 1, 6), [9] * 5, zero=7, activation=Activation.RELU)
    x = network.conv(x, weights(4, 3, 3, 5), [2] * 4, padding=Padding.SAME, stride=2, zero=-1)
    return network.graph(network.node(AveragePool2D(5, 4, 1, 1, Padding.VALID, Activation.NONE), x))


def bytes_of(outputs: list[list[np.ndarray]]) -> list[list[bytes]]:
    return [[array.tobytes() for array in sample] for sample in outputs]


@pytest.mark.parametrize("poison", [False, True], ids=["invoke", "poisoned"])
@pytest.mark.parametrize("resident", [False, True], ids=["pulled", "resident"])
def test_random_networks(resident: bool, poison: bool, tmp_path: Path) -> None:
    graphs = []
    for seed in range(NETWORKS):
        try:
            graphs.append(draw_network(Choices.of(np.random.default_rng(seed))))
        except NotPossible:
            continue
    graphs = [g for g in graphs if resident or all(len(g.values[i].type.shape) > 2 for i in g.inputs)]
    options = replace(LEAST, input_by_rows=not resident)
    plans = [plan_graph(graph, Rounding.TFLM, options) for graph in graphs]
    assert sum(len(p.steps) > len(p.stages) for p in plans) > len(plans) // 2  # most run by rows indeed
    of_graph = {id(graph): plan for graph, plan in zip(graphs, plans, strict=True)}
    samples = [draw_samples(graph, 4) for graph in graphs]
    got = run_on_host(graphs, samples, tmp_path, plan_of=lambda graph, _: of_graph[id(graph)], poison=poison)
    for graph, given, outputs in zip(graphs, samples, got, strict=True):
        assert bytes_of(outputs) == run(graph, given)


@pytest.mark.parametrize("poison", [False, True], ids=["invoke", "poisoned"])
@pytest.mark.parametrize(
    "plan_of",
    [
        recipes((6, Recipe(rows=1))),
        recipes((6, Recipe(rows=3))),
        recipes((6, Recipe(rows=2)), pulled=False),
        recipes((4, Recipe(rows=1, column_parts=2)), (6, Recipe(rows=1))),
        recipes((4, Recipe(rows=1, row_parts=3)), (6, Recipe(rows=0))),
        recipes((5, Recipe(rows=2, row_parts=2, column_parts=2)), (6, Recipe(rows=0))),
        recipes((5, Recipe(rows=0, row_parts=2, column_parts=2)), (6, Recipe(rows=1))),
    ],
    ids=["rows", "3 rows", "resident", "strips", "bands", "patches", "whole patches"],
)
def test_every_form_gives_the_same_bytes(
    plan_of: Callable[[Graph, Rounding], Plan], poison: bool, tmp_path: Path
) -> None:
    graph = pyramid()
    samples = draw_samples(graph)
    (got,) = run_on_host([graph], [samples], tmp_path, plan_of=plan_of, poison=poison)
    assert bytes_of(got) == run(graph, samples)


@pytest.mark.parametrize("model", [KWS, IC, VWW], ids=lambda model: model.id)
def test_real_models_on_poisoned_memory(model: RealModel, data: Path, tmp_path: Path) -> None:
    graph = read_graph(data / "models" / model.path)
    samples = draw_samples(graph, 2)
    (got,) = run_on_host([graph], [samples], tmp_path, plan_of=by_rows, poison=True)
    assert bytes_of(got) == run(graph, samples)


def test_poison_finds_a_row_that_dies_too_early(tmp_path: Path) -> None:
    def short_lived(graph: Graph, rounding: Rounding) -> Plan:
        plan = recipes((6, Recipe(rows=1)))(graph, rounding)
        longest = max(plan.buffers, key=lambda b: (b.row is not None, b.last_step - b.first_step))
        shorter = replace(longest, last_step=longest.first_step)
        return replace(plan, buffers=tuple(shorter if b is longest else b for b in plan.buffers))

    graph = pyramid()
    samples = draw_samples(graph)
    (unharmed,) = run_on_host([graph], [samples], tmp_path, plan_of=short_lived)
    assert bytes_of(unharmed) == run(graph, samples)
    (got,) = run_on_host([graph], [samples], tmp_path, plan_of=short_lived, poison=True)
    assert bytes_of(got) != run(graph, samples)


def write_project(graph: Graph, plan: Plan, name: str, folder: Path) -> list[str]:
    """Write the model's sources; the C files that belong to it and its kernels."""
    files = generate_sources(graph, plan, name).files
    for file, text in files.items():
        (folder / file).write_text(text)
    return [file for file in files if file.endswith(".c") and file != "host_main.c"]


def compile_and_run(folder: Path, sources: list[str], *arguments: str) -> int:
    """Compile on this machine under the sanitizers and run; the exit code."""
    subprocess.run(["cc", *HOST_CFLAGS, *sources, "-o", "program"], cwd=folder, check=True)
    return subprocess.run(["./program", *arguments], cwd=folder, check=False).returncode


@pytest.mark.parametrize("plan_of", [by_rows, recipes((5, Recipe(1, 2, 2)), (6, Recipe(0)))], ids=["rows", "patches"])
def test_the_host_program_and_its_trace(plan_of: Callable[[Graph, Rounding], Plan], tmp_path: Path) -> None:
    graph = pyramid()
    plan = plan_of(graph, Rounding.TFLM)
    sources = write_project(graph, plan, "model", tmp_path)
    (tmp_path / "trace_main.c").write_text(render_trace_main(graph, plan, "model", Rounding.TFLM))
    samples = draw_samples(graph, 2)
    (tmp_path / "inputs.bin").write_bytes(b"".join(array.tobytes() for sample in samples for array in sample))
    assert compile_and_run(tmp_path, [*sources, "host_main.c"], "inputs.bin", "outputs.bin") == 0
    assert (tmp_path / "outputs.bin").read_bytes() == b"".join(b for sample in run(graph, samples) for b in sample)
    others = [file for file in sources if file != "model.c"]
    assert compile_and_run(tmp_path, [*others, "trace_main.c"], "inputs.bin", "trace.bin") == 0
    traces = [Executor(graph).trace(sample) for sample in samples]
    expected = [trace[value].tobytes() for trace in traces for node in graph.nodes for value in node.outputs]
    assert (tmp_path / "trace.bin").read_bytes() == b"".join(expected)


def test_a_callback_that_fails_ends_the_inference_at_once(tmp_path: Path) -> None:
    graph = pyramid()
    sources = write_project(graph, by_rows(graph, Rounding.TFLM), "model", tmp_path)
    (tmp_path / "abandon.c").write_text(
        """#include "model.h"
        #include <string.h>
        static uint8_t arena[MODEL_ARENA_BYTES] __attribute__((aligned(MODEL_ARENA_ALIGNMENT)));
        typedef struct { int calls, fails_at; } source;
        int model_read_rows(void *ctx, int first, int count, int8_t *dst) {
            source *from = ctx;
            memset(dst, 10 * first, (size_t)(count * MODEL_INPUT_0_COLUMNS * MODEL_INPUT_0_COLUMN_ELEMENTS));
            return from->calls++ == from->fails_at ? 7 : 0;
        }
        int main(void) {
            int8_t first[MODEL_OUTPUT_0_BYTES];
            source whole = {0, -1}, broken = {0, 3};
            if (model_init(arena) != 0 || model_invoke(arena, &whole) != 0) return 1;
            if (whole.calls != MODEL_INPUT_0_ROWS) return 5;
            memcpy(first, model_output_0(arena), sizeof first);
            if (model_invoke(arena, &broken) != 7 || broken.calls != 4) return 2;
            if (model_invoke(arena, &whole) != 0) return 3;
            return memcmp(first, model_output_0(arena), sizeof first) == 0 ? 0 : 4;
        }"""
    )
    assert compile_and_run(tmp_path, [*sources, "abandon.c"]) == 0


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_compiles_without_a_warning(compiler: str, tmp_path: Path) -> None:
    graph = pyramid()
    for number, plan_of in enumerate((by_rows, recipes((5, Recipe(1, 2, 2)), (6, Recipe(0))))):
        folder = tmp_path / str(number)
        folder.mkdir()
        plan = plan_of(graph, Rounding.TFLM)
        sources = write_project(graph, plan, "model", folder)
        (folder / "trace_main.c").write_text(render_trace_main(graph, plan, "model", Rounding.TFLM))
        flags = [flag for flag in HOST_CFLAGS if "sanitize" not in flag]
        for file in [*sources, "host_main.c", "trace_main.c"]:
            subprocess.run([compiler, *flags, "-fsyntax-only", file], cwd=folder, check=True)


def run_firmware(target_name: str, graph: Graph, plan: Plan, samples: list[Sample], folder: Path) -> bytes:
    """The outputs of the firmware on the simulated chip, which reads rows from the host's file."""
    target = load_target(target_name)
    for file, text in generate_project(graph, plan, target, "model").files.items():
        (folder / file).write_text(text)
    images = build_firmware(folder, target, "model")
    (folder / "inputs.bin").write_bytes(b"".join(array.tobytes() for sample in samples for array in sample))
    trace = simulate(images.sim_elf, target, folder, 120)
    assert trace.exit_code == 0
    return (folder / "outputs.bin").read_bytes()


@pytest.mark.parametrize("target", ["stm32l4r5zi", pytest.param("ibex-fast", marks=needs_ibex)])
@pytest.mark.parametrize("plan_of", [by_rows, recipes((5, Recipe(1, 2, 2)), (6, Recipe(0)))], ids=["rows", "patches"])
def test_firmware_reads_rows_and_patches_from_the_host(
    plan_of: Callable[[Graph, Rounding], Plan], target: str, tmp_path: Path
) -> None:
    graph = pyramid()
    samples = draw_samples(graph, 3)
    got = run_firmware(target, graph, plan_of(graph, Rounding.TFLM), samples, tmp_path)
    assert got == b"".join(b for sample in run(graph, samples) for b in sample)


def test_the_shipped_model_by_rows_on_the_chip(tmp_path: Path) -> None:
    graph = read_graph(demo.model_path())
    samples = draw_samples(graph, 2)
    plan = by_rows(graph, Rounding.TFLM)
    assert plan.arena_bytes < 6000  # 12,576 layer by layer
    got = run_firmware("stm32l4r5zi", graph, plan, samples, tmp_path)
    assert got == b"".join(b for sample in run(graph, samples) for b in sample)
