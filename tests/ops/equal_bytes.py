"""An operator's integer reference and its C on the host beside an oracle, byte by byte."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.host_batch import run_on_host
from tests.ops.case import OpCase
from tests.ops.samples import draw_samples
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.ops.executor import Executor

Outputs = list[list[np.ndarray]]
Oracle = Callable[[bytes, Outputs, Graph], Outputs | None]
"""The outputs for a model file and consecutive samples; None where the oracle takes no such model."""


def check_case(case: OpCase, models: int, oracle: Oracle, rounding: Rounding, folder: Path) -> list[Outputs]:
    """Draw so many models and compare those that the oracle takes; what it expects of each."""
    graphs, inputs, expected = [], [], []
    for seed in range(models):
        rng = np.random.default_rng([zlib.crc32(case.id.encode()), seed])
        model = case.draw(rng)
        graph = import_tflite(model, f"{case.id} {seed}")
        samples = draw_samples(case, rng, graph)
        outputs = oracle(model, samples, graph)
        if outputs is None:
            continue
        executor = Executor(graph, rounding)
        for number, sample in enumerate(samples):
            for got, want in zip(executor.invoke(sample), outputs[number], strict=True):
                assert_same_bytes(got, want, f"integer reference, seed {seed}, sample {number}")
        graphs.append(graph)
        inputs.append(samples)
        expected.append(outputs)
    if graphs:
        for index, results in enumerate(run_on_host(graphs, inputs, folder, rounding)):
            for number, made in enumerate(results):
                for got, want in zip(made, expected[index][number], strict=True):
                    assert_same_bytes(got, want, f"host C, {graphs[index].name}, sample {number}")
    return expected


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
