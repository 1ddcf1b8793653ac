"""Random graphs of 3 to 15 operators: tflite-micro, integer reference, host C and simulated chip agree."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import thimble
from tests.e2e.graph_draw import Choices
from tests.e2e.graph_ops import draw_model
from tests.graphs import graph_of
from tests.host_batch import run_on_host
from tests.ops.equal_bytes import assert_same_bytes
from tests.ops.samples import draw_input
from tests.ops.tflm_oracle import run_oracle
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.errors import ThimbleError
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.printer import print_graph
from thimble.compiler.ops.executor import Executor

Outputs = list[list[np.ndarray]]
SAMPLES = 5
TARGETS = ("stm32l4r5zi", "nrf52840", "stm32f411re")

seldom = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


class Model(bytes):
    """A model file that shows its graph where a test reports it."""

    def __repr__(self) -> str:
        try:
            return f"\n{print_graph(import_tflite(self, 'random'))}"
        except ThimbleError:
            return bytes.__repr__(self)


@st.composite
def models(draw: st.DrawFn) -> Model:
    """A random sound model, which shrinks to fewer and simpler operators."""
    return Model(draw_model(Choices(lambda low, high: draw(st.integers(low, high)))))


def samples_for(graph: Graph) -> Outputs:
    """Inputs of consecutive inferences: random ones, all lowest, all highest, only extremes, random again."""
    rng = np.random.default_rng(0)
    types = [graph.values[i].type for i in graph.inputs]
    return [[draw_input(rng, t, sample) for t in types] for sample in range(SAMPLES)]


def checked(model: bytes) -> tuple[Graph, Outputs, Outputs]:
    """Graph, inputs, and the oracle's outputs, which the integer reference has been found to give too."""
    graph = graph_of(model, Path("random.tflite"))
    samples = samples_for(graph)
    expected = run_oracle(model, samples, len(graph.outputs))
    executor = Executor(graph)
    compare([executor.invoke(sample) for sample in samples], expected, "integer reference")
    return graph, samples, expected


def compare(results: Outputs, expected: Outputs, what: str) -> None:
    """Every output of every inference has the same bytes."""
    for number, (got, want) in enumerate(zip(results, expected, strict=True)):
        for output, (a, b) in enumerate(zip(got, want, strict=True)):
            assert_same_bytes(a, b, f"{what}, inference {number}, output {output}")


@given(model=models())
@settings(seldom, max_examples=300)
def test_integer_reference_equals_tflite_micro(model: bytes) -> None:
    checked(model)


@given(batch=st.lists(models(), min_size=1, max_size=12))
@settings(seldom, max_examples=20)
def test_host_c_equals_tflite_micro(batch: list[bytes]) -> None:
    graphs, samples, expected = zip(*(checked(model) for model in batch), strict=True)
    with tempfile.TemporaryDirectory() as folder:
        results = run_on_host(graphs, samples, Path(folder))
    for number, result in enumerate(results):
        compare(result, expected[number], f"host C, model {number}")


@pytest.mark.full
@pytest.mark.parametrize("first", range(0, 2000, 25))
def test_two_thousand_graphs_on_the_host(first: int, tmp_path: Path) -> None:
    """Drawn evenly, where hypothesis prefers small ones."""
    seeds = range(first, first + 25)
    models = [draw_model(Choices.of(np.random.default_rng(seed))) for seed in seeds]
    graphs, samples, expected = zip(*(checked(model) for model in models), strict=True)
    for number, result in enumerate(run_on_host(graphs, samples, tmp_path)):
        compare(result, expected[number], f"host C, seed {first + number}")


@given(model=models(), target=st.sampled_from(TARGETS))
@settings(seldom, max_examples=6)
def test_firmware_equals_tflite_micro(model: bytes, target: str) -> None:
    """The whole path: build folder, ELF, simulated chip; the states go on from one inference to the next there too."""
    from thimble.compiler.driver.build_folder import open_build
    from thimble.compiler.driver.data import Samples
    from thimble.compiler.driver.run import run_target

    _, samples, expected = checked(model)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "random.tflite").write_bytes(model)
        thimble.compile(folder / "random.tflite", target, folder / "out")
        stacked = tuple(np.stack([sample[k] for sample in samples]) for k in range(len(samples[0])))
        results, trace = run_target(open_build(folder / "out"), Samples(stacked, None, "random"))
    compare(results, expected, f"firmware on {target}")
    assert trace.peak_stack_bytes < 4096
