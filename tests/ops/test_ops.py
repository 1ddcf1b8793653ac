"""Every row of the operator table: tflite-micro, the integer reference and C on the host give the same bytes."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.host_batch import run_on_host
from tests.ops.case import OpCase
from tests.ops.table import CASES
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.types import DType, TensorType
from thimble.compiler.ops.executor import Executor

runtime = pytest.importorskip("tflite_micro", reason="tflite-micro is not installed").runtime

MODELS_PER_ROW = int(os.environ.get("THIMBLE_OP_MODELS", "50"))
SAMPLES_PER_MODEL = 6
ORACLE_ARENA_BYTES = 1 << 20


def draw_input(rng: np.random.Generator, type_: TensorType, sample: int) -> np.ndarray:
    """Sample 0 is random, 1 all lowest, 2 all highest, 3 only extremes, later ones random."""
    if type_.dtype is DType.FLOAT32:
        return (rng.normal(size=type_.shape) * 10.0 ** rng.uniform(-3, 3)).astype(np.float32)
    low, high = type_.dtype.range
    if sample == 1:
        return np.full(type_.shape, low, type_.dtype.numpy)
    if sample == 2:
        return np.full(type_.shape, high, type_.dtype.numpy)
    if sample == 3:
        return np.where(rng.random(type_.shape) < 0.5, low, high).astype(type_.dtype.numpy)
    return rng.integers(low, high, type_.shape, endpoint=True).astype(type_.dtype.numpy)


def draw_samples(case: OpCase, rng: np.random.Generator, graph: Graph) -> list[list[np.ndarray]]:
    """The inputs of each inference of one model."""
    types = [graph.values[i].type for i in graph.inputs]
    if case.samples is not None:
        return case.samples(rng, types)
    return [[draw_input(rng, t, sample) for t in types] for sample in range(SAMPLES_PER_MODEL)]


def run_oracle(model: bytes, samples: list[list[np.ndarray]], outputs: int) -> list[list[np.ndarray]]:
    """tflite-micro's outputs for consecutive inferences."""
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=ORACLE_ARENA_BYTES)
    results = []
    for sample in samples:
        for position, array in enumerate(sample):
            interpreter.set_input(array, position)
        interpreter.invoke()
        results.append([interpreter.get_output(i).copy() for i in range(outputs)])
    return results


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_operator_equals_tflite_micro(case: OpCase, tmp_path: Path) -> None:
    graphs, inputs, expected = [], [], []
    for seed in range(MODELS_PER_ROW):
        rng = np.random.default_rng([zlib.crc32(case.id.encode()), seed])
        model = case.draw(rng)
        graph = import_tflite(model, f"{case.id} {seed}")
        samples = draw_samples(case, rng, graph)
        oracle = case.oracle(model, samples) if case.oracle else run_oracle(model, samples, len(graph.outputs))
        assert oracle is not None, "the oracle takes no such model"
        executor = Executor(graph)
        for number, sample in enumerate(samples):
            for got, want in zip(executor.invoke(sample), oracle[number], strict=True):
                assert_same_bytes(got, want, f"integer reference, seed {seed}, sample {number}")
        graphs.append(graph)
        inputs.append(samples)
        expected.append(oracle)
    assert any(np.unique([o[0] for o in model]).size > 1 for model in expected), "every output is constant"
    for seed, results in enumerate(run_on_host(graphs, inputs, tmp_path)):
        for number, outputs in enumerate(results):
            for got, want in zip(outputs, expected[seed][number], strict=True):
                assert_same_bytes(got, want, f"host C, seed {seed}, sample {number}")


def assert_same_bytes(got: np.ndarray, want: np.ndarray, what: str) -> None:
    """Equal shape, type and bytes, or a message with the first difference."""
    assert got.shape == want.shape, f"{what}: shape {got.shape}, expected {want.shape}"
    assert got.dtype.itemsize == want.dtype.itemsize, f"{what}: {got.dtype}, expected {want.dtype}"
    different = np.flatnonzero(np.frombuffer(got.tobytes(), np.uint8) != np.frombuffer(want.tobytes(), np.uint8))
    if different.size:
        at = int(different[0]) // got.dtype.itemsize
        pytest.fail(
            f"{what}: {different.size} bytes differ, the first at element {at}: "
            f"{got.reshape(-1)[at]}, expected {want.reshape(-1)[at]}"
        )
