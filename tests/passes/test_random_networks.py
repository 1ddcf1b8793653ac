"""Every pass, and all in a row, on random networks: equal bytes in the integer reference and in C on the host."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e.graph_draw import Choices
from tests.host_batch import run_on_host
from tests.passes.draw_network import draw_network
from tests.passes.network import draw_samples, run
from thimble.compiler.ir.graph import Graph, Role, verify
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.ir.printer import print_graph
from thimble.compiler.ops.executor import Executor
from thimble.compiler.passes.intervals import channel_intervals
from thimble.compiler.passes.pipeline import PASSES, choose_passes, run_passes
from thimble.compiler.plan.checker import check_plan
from thimble.compiler.plan.layer_plan import plan_layers

often = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    """A random network, which shrinks to fewer and simpler nodes."""
    return draw_network(Choices(lambda low, high: draw(st.integers(low, high))))


def seeded(seed: int) -> Graph:
    """A random network, drawn evenly, where hypothesis prefers small ones."""
    return draw_network(Choices.of(np.random.default_rng(seed)))


def check_passes(graph: Graph) -> Counter[str]:
    """Equal bytes after each pass, under both roundings; how often each pass changed the graph."""
    samples = draw_samples(graph)
    expected = {rounding: run(graph, samples, rounding=rounding) for rounding in Rounding}
    tensors = Executor(graph).trace(samples[0])
    changed: Counter[str] = Counter()
    for step in PASSES:
        after = step.rewrite(graph)
        if after is not graph:
            verify(after)
            for rounding in Rounding:
                assert run(after, samples, rounding=rounding) == expected[rounding], (
                    f"{step.name}\n{print_graph(graph)}"
                )
            changed[step.name] += len(after.nodes) != len(graph.nodes) or after.macs != graph.macs
        graph = after
    arrays = Executor(graph).trace(samples[0])
    for i, value in enumerate(graph.values):
        if i in arrays and value.role is Role.ACTIVATION and value.tensor is not None:
            assert arrays[i].tobytes() == tensors[value.tensor].tobytes(), f"value {i} is not tensor {value.tensor}"
    plan = plan_layers(graph)
    check_plan(graph, plan)
    changed["views"] += bool(plan.views)
    return changed


@given(graph=networks())
@settings(often, max_examples=150)
def test_each_pass_keeps_every_byte(graph: Graph) -> None:
    check_passes(graph)


def test_every_pass_has_something_to_do() -> None:
    changed = sum((check_passes(seeded(seed)) for seed in range(150)), Counter())
    optional = {step.name for step in PASSES if not step.required}
    assert not {name: changed[name] for name in (*optional, "views") if changed[name] < 5}


@given(graph=networks(), names=st.sets(st.sampled_from(sorted({s.name for s in PASSES if not s.required}))))
@settings(often, max_examples=50)
def test_any_pass_can_be_left_out(graph: Graph, names: set[str]) -> None:
    samples = draw_samples(graph)
    assert run(run_passes(graph, choose_passes(names)), samples) == run(graph, samples)


@given(graph=networks())
@settings(often, max_examples=100)
def test_no_value_leaves_its_interval(graph: Graph) -> None:
    bounds = channel_intervals(graph)
    for rounding in Rounding:
        executor = Executor(graph, rounding)
        for sample in draw_samples(graph):
            arrays = executor.trace(sample)
            for value, interval in bounds.items():
                if value in arrays:
                    channels = arrays[value].reshape(-1, len(interval.low))
                    assert (channels.min(0) >= interval.low).all()
                    assert (channels.max(0) <= interval.high).all()


@pytest.mark.parametrize("first", [0, 1000])
def test_host_c_gives_the_bytes_of_the_graph_before_its_passes(first: int) -> None:
    """Under the sanitizers, in an arena that was filled with rubbish: a view that dies too early would show."""
    graphs = [seeded(seed) for seed in range(first, first + 25)]
    samples = [draw_samples(graph) for graph in graphs]
    with tempfile.TemporaryDirectory() as folder:
        results = run_on_host([run_passes(graph) for graph in graphs], samples, Path(folder))
    for seed, (graph, given_, got) in enumerate(zip(graphs, samples, results, strict=True), first):
        assert [[a.tobytes() for a in outputs] for outputs in got] == run(graph, given_), f"seed {seed}"
