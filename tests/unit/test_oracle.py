"""Models that a reference runtime refuses, or dies of, are told in one sentence, which says what can be done."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tflite_builder import ModelBuilder
from thimble.compiler.driver import oracle
from thimble.compiler.driver.data import Samples
from thimble.compiler.driver.oracle import run_oracle, trace_oracle
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.errors import UsageError
from thimble.compiler.ir.operator import Array, Rounding

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")

CONVOLUTION = {"padding": 0, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}


def conv_2d(m: ModelBuilder, x: int, bias: list[int]) -> int:
    """A convolution of 1 x 1, (1, 4, 4, 2) to (1, 4, 4, 2); its output."""
    w = m.tensor((2, 1, 1, 2), np.int8, 0.5, 0, data=[[[[2, 1]]], [[[-1, 3]]]])
    y = m.tensor((1, 4, 4, 2), np.int8, 0.5, 0)
    m.op("CONV_2D", [x, w, *bias], [y], "Conv2DOptions", **CONVOLUTION)
    return y


def depthwise(m: ModelBuilder, x: int, bias: list[int]) -> int:
    """A depthwise convolution of 1 x 1, (1, 4, 4, 2) to (1, 4, 4, 2); its output."""
    w = m.tensor((1, 1, 1, 2), np.int8, 0.5, 0, data=[3, -2])
    y = m.tensor((1, 4, 4, 2), np.int8, 0.5, 0)
    m.op("DEPTHWISE_CONV_2D", [x, w, *bias], [y], "DepthwiseConv2DOptions", depthMultiplier=1, **CONVOLUTION)
    return y


def depthwise_between_convolutions(bias: list[int]) -> bytes:
    """Three convolutions, then a depthwise one with the given inputs behind its weights, then two convolutions."""
    m = ModelBuilder()
    value = x = m.tensor((1, 4, 4, 2), np.int8, 0.5, 0)
    for position in range(6):
        value = depthwise(m, value, bias) if position == 3 else conv_2d(m, value, [])
    m.interface([x], [value])
    return m.build()


def random_samples(count: int) -> Samples:
    return Samples([np.random.default_rng(0).integers(-9, 9, (count, 1, 4, 4, 2), np.int8)], None, "random")


def outputs_of(model: bytes, samples: Samples, rounding: Rounding) -> list[Array]:
    graph = import_tflite(model, "layer")
    return [output for (output,) in run_oracle(model, graph, samples, rounding)]


def test_what_litert_refuses_is_told_in_a_sentence() -> None:
    m = ModelBuilder()
    x = m.tensor((1, 4, 4, 2), np.int8, 0.5, 0)
    m.interface([x], [conv_2d(m, x, [-1])])  # LiteRT wants a bias
    model = m.build()
    with pytest.raises(UsageError, match=r"^LiteRT refuses this model \(.+\), .*--rounding tflm .*tflite-micro\.$"):
        outputs_of(model, random_samples(1), Rounding.LITERT)
    assert len(outputs_of(model, random_samples(1), Rounding.TFLM)) == 1


def test_an_absent_bias_of_a_depthwise_convolution_is_none_for_tflite_micro() -> None:
    samples = random_samples(3)
    model = depthwise_between_convolutions([-1])
    expected = outputs_of(depthwise_between_convolutions([]), samples, Rounding.TFLM)
    assert np.unique(expected).size > 10
    np.testing.assert_array_equal(outputs_of(model, samples, Rounding.TFLM), expected)
    graph = import_tflite(model, "layer")
    traced = trace_oracle(model, graph, samples, 2, Rounding.TFLM)
    output = graph.values[graph.outputs[0]].tensor
    assert output is not None
    np.testing.assert_array_equal(traced[output], expected[2])


def test_what_kills_tflite_micro_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle, "without_absent_biases", lambda model: model)
    with pytest.raises(UsageError) as told:
        outputs_of(depthwise_between_convolutions([-1]), random_samples(2), Rounding.TFLM)
    assert str(told.value) == (
        "tflite-micro dies of SIGSEGV at operator 3 (DEPTHWISE_CONV_2D) of this model, so there is nothing to compare"
        " with; compile it with --rounding litert to compare it with LiteRT."
    )
