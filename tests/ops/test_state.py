"""Operators with a state: reset, real digits through the LSTM, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.ops import cases_sequence
from tests.ops.case import OpCase
from tests.ops.samples import draw_input
from tests.tflite_builder import ModelBuilder
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.errors import MalformedModel, UnsupportedOp
from thimble.compiler.ops.executor import Executor

runtime = pytest.importorskip("tflite_micro", reason="tflite-micro is not installed").runtime


@pytest.mark.parametrize("case", cases_sequence.CASES, ids=lambda case: case.id)
def test_reset_restores_the_initial_state(case: OpCase) -> None:
    rng = np.random.default_rng(11)
    model = case.draw(rng)
    graph = import_tflite(model, case.id)
    executor, interpreter = Executor(graph), runtime.Interpreter.from_bytes(model)
    sample = draw_input(rng, graph.values[graph.inputs[0]].type, 0)
    results = []
    for number in range(6):
        if number == 3:
            executor.reset()
            interpreter.reset()
        interpreter.set_input(sample, 0)
        interpreter.invoke()
        results.append(executor.invoke([sample])[0])
        assert np.array_equal(results[-1], interpreter.get_output(0)), f"inference {number}"
    assert all(np.array_equal(a, b) for a, b in zip(results[:3], results[3:], strict=True))
    assert not np.array_equal(results[0], results[1]), "the state changes nothing: draw another model"


def test_mnist_digits(data: Path) -> None:
    model = (data / "models/misc/mnist_lstm_int8.tflite").read_bytes()
    digits = np.load(data / "eval/mnist_samples.npz")["x"]
    executor, interpreter = Executor(import_tflite(model, "mnist")), runtime.Interpreter.from_bytes(model)
    for digit in digits:
        image = (digit.astype(np.int32) - 128).astype(np.int8)[None]  # input scale 1/255, zero point -128
        interpreter.set_input(image, 0)
        interpreter.invoke()
        assert np.array_equal(executor.invoke([image])[0], interpreter.get_output(0))


def svdf_model(
    rank: int = 1, state_scale: float = 0.1, state_type: type = np.int8, variable: bool = True, bias_scale: float = 0.01
) -> bytes:
    """A small SVDF: input (1, 3), two filters that remember two values."""
    m = ModelBuilder()
    x = m.tensor((1, 3), np.int8, 0.1, 0)
    features = m.tensor((2, 3), np.int8, 0.1, 0, data=np.ones((2, 3)))
    time = m.tensor((2, 2), np.int8, 0.1, 0, data=np.ones((2, 2)))
    units = max(2 // max(rank, 1), 1)
    bias = m.tensor((units,), np.int32, bias_scale, 0, data=np.zeros(units))
    state = m.tensor((1, 4), state_type, state_scale, 0, variable=variable)
    y = m.tensor((1, units), np.int8, 0.1, 0)
    m.op("SVDF", [x, features, time, bias, state], [y], "SVDFOptions", rank=rank)
    m.interface([x], [y])
    return m.build()


@pytest.mark.parametrize("rank", [0, -1, 3, 2**31 - 1])
def test_svdf_rank_must_divide_the_filters(rank: int) -> None:
    with pytest.raises(MalformedModel):
        import_tflite(svdf_model(rank=rank), "m")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"variable": False}, "must be variables"),
        ({"state_type": np.int16}, "time weights' type"),
        ({"bias_scale": 0.5}, "bias must"),
        ({"state_scale": 1e-30, "bias_scale": 1e-31}, "below 2\\^30"),
    ],
)
def test_svdf_refusals(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnsupportedOp, match=reason):
        import_tflite(svdf_model(**change), "m")
