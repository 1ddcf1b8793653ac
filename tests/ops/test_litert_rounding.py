"""`--rounding litert`: convolutions and matrix products give the bytes of LiteRT's reference kernels."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.host_batch import run_on_host
from tests.ops.case import OpCase
from tests.ops.cases_convolution import CASES
from tests.ops.litert_oracle import run_litert
from tests.ops.test_ops import assert_same_bytes, draw_samples
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.ops.executor import Executor

MODELS_PER_ROW = 12


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_operator_equals_litert(case: OpCase, tmp_path: Path) -> None:
    graphs, inputs, expected = [], [], []
    for seed in range(MODELS_PER_ROW):
        rng = np.random.default_rng([zlib.crc32(case.id.encode()), seed])
        model = case.draw(rng)
        graph = import_tflite(model, f"{case.id} {seed}")
        samples = draw_samples(case, rng, graph)
        oracle = run_litert(model, samples)
        if oracle is None:
            continue
        executor = Executor(graph, Rounding.LITERT)
        for number, sample in enumerate(samples):
            for got, want in zip(executor.invoke(sample), oracle[number], strict=True):
                assert_same_bytes(got, want, f"integer reference, seed {seed}, sample {number}")
        graphs.append(graph)
        inputs.append(samples)
        expected.append(oracle)
    if not graphs:
        pytest.skip("LiteRT refuses what this row draws, such as CONV_2D without a bias")
    for seed, results in enumerate(run_on_host(graphs, inputs, tmp_path, Rounding.LITERT)):
        for number, outputs in enumerate(results):
            for got, want in zip(outputs, expected[seed][number], strict=True):
                assert_same_bytes(got, want, f"host C, model {seed}, sample {number}")
