"""Models that were accepted must be safe firmware: C under the sanitizers equals the integer reference on any input."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.graphs import graph_of
from tests.host_batch import run_on_host
from tests.ops.samples import draw_input
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.types import DType, TensorType
from thimble.compiler.ops.executor import Executor

MAX_MACS = 20_000_000
"""Models with more are left out: they are sound but slow, and say nothing that smaller ones do not."""
SAMPLES = 5
HOST_LIMIT_S = 120


@dataclass(frozen=True, slots=True)
class Unsafe:
    """An accepted mutant whose C misbehaves."""

    index: int
    detail: str


def check_firmware(models: Sequence[tuple[int, bytes]], batch: int = 50) -> tuple[int, list[Unsafe]]:
    """Run accepted models, each with its mutant's number; how many ran, and those that failed."""
    graphs = [(index, graph_of(data, Path("model.tflite"))) for index, data in models]
    small = [(index, graph) for index, graph in graphs if graph.macs <= MAX_MACS]
    failed: list[Unsafe] = []
    for start in range(0, len(small), batch):
        failed += _check(small[start : start + batch])
    return len(small), failed


def _check(models: Sequence[tuple[int, Graph]]) -> list[Unsafe]:
    """Run one batch; where it fails, its halves, down to the single model at fault."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            _run([graph for _, graph in models], [index for index, _ in models], Path(folder))
            return []
        except Exception as error:  # whatever it is, it is the finding
            if len(models) == 1:
                return [Unsafe(models[0][0], f"{type(error).__name__}: {error}")]
    middle = len(models) // 2
    return [*_check(models[:middle]), *_check(models[middle:])]


def _run(graphs: Sequence[Graph], seeds: Sequence[int], folder: Path) -> None:
    samples, expected = [], []
    for graph, seed in zip(graphs, seeds, strict=True):
        rng = np.random.default_rng(seed)
        types = [graph.values[i].type for i in graph.inputs]
        inputs = [[_draw(rng, t, sample) for t in types] for sample in range(SAMPLES)]
        executor = Executor(graph)
        samples.append(inputs)
        expected.append([executor.invoke(sample) for sample in inputs])
    results = run_on_host(graphs, samples, folder, timeout_s=HOST_LIMIT_S)
    for got, want in zip(results, expected, strict=True):
        for sample, outputs in enumerate(got):
            for a, b in zip(outputs, want[sample], strict=True):
                assert a.tobytes() == b.tobytes(), f"sample {sample}: the C gives {a}, the integer reference {b}"


def _draw(rng: np.random.Generator, type_: TensorType, sample: int) -> np.ndarray:
    """As for the operator table, but for floats the last sample holds what no sound program feeds."""
    array = draw_input(rng, type_, sample)
    if type_.dtype is DType.FLOAT32 and sample == SAMPLES - 1:
        odd = np.array([np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-45, -0.0, 2.0**31], np.float32)
        array = odd[rng.integers(odd.size, size=type_.shape)]
    return array
