"""Every operator of the table, written to a TFLite file and read again, computes the same bytes."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest

from tests.ops.case import OpCase
from tests.ops.samples import draw_samples
from tests.ops.table import CASES
from tests.ops.tflm_oracle import run_oracle
from tests.quantize.networks import FloatNetwork
from thimble.compiler.exporters.tflite import export_tflite
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.errors import UnsupportedOp
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.executor import Executor
from thimble.compiler.ops.pool_2d import AveragePool2D, MaxPool2D
from thimble.compiler.ops.window import ExplicitPadding

NOT_WRITTEN = {
    *("CAST", "EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"),
    *("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM"),
    *("READ_VARIABLE", "ASSIGN_VARIABLE", "VAR_HANDLE", "CALL_ONCE"),
}
"""Operators that no float model of today's importers turns into integers of."""

MODELS_PER_ROW = 4


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_file_computes_the_same_bytes(case: OpCase) -> None:
    for seed in range(MODELS_PER_ROW):
        rng = np.random.default_rng([zlib.crc32(case.id.encode()), seed])
        graph = import_tflite(case.draw(rng), case.id)
        if case.operator in NOT_WRITTEN:
            with pytest.raises(UnsupportedOp, match="cannot be written"):
                export_tflite(graph)
            return
        again = import_tflite(export_tflite(graph), case.id)
        if case.operator != "RESHAPE":  # written with its -1 filled in
            assert [node.op for node in again.nodes] == [node.op for node in graph.nodes]
        assert [v.type for v in again.values if v.data is None] == [v.type for v in graph.values if v.data is None]
        for sample in draw_samples(case, rng, graph)[:2]:
            for got, want in zip(Executor(again).invoke(sample), Executor(graph).invoke(sample), strict=True):
                assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("operator", ["CONV_2D", "MEAN", "STRIDED_SLICE", "TRANSPOSE_CONV", "SPLIT", "PADV2"])
def test_tflite_micro_takes_the_file(operator: str) -> None:
    case = next(case for case in CASES if case.operator == operator)
    rng = np.random.default_rng(zlib.crc32(operator.encode()))
    model = case.draw(rng)
    graph = import_tflite(model, operator)
    drawn = draw_samples(case, rng, graph)
    written = run_oracle(export_tflite(graph), drawn, len(graph.outputs))
    for got, want in zip(written, run_oracle(model, drawn, len(graph.outputs)), strict=True):
        assert [a.tobytes() for a in got] == [a.tobytes() for a in want]


def test_explicit_paddings_become_operators() -> None:
    net = FloatNetwork()
    x = net.input(1, 7, 6, 3)
    uneven = ExplicitPadding((2, 0), (0, 1))
    weights, bias = net.weights(4, 3, 3, 3, fan_in=27), net.bias(4)
    y = net.op(Conv2D(Activation.RELU, 2, 2, 1, 1, uneven), x, weights, bias)
    y = net.op(MaxPool2D(2, 2, 1, 1, ExplicitPadding((1, 0), (1, 1)), Activation.NONE), y)
    graph = net.graph(net.op(AveragePool2D(3, 3, 1, 1, ExplicitPadding((1, 1), (1, 1)), Activation.NONE), y))
    again = import_tflite(export_tflite(graph), "again")
    assert [node.op.name for node in again.nodes] == ["pad", "conv_2d", "padv2", "max_pool_2d", "average_pool_2d"]
    sample = net.rng.normal(size=(1, 7, 6, 3)).astype(np.float32)
    np.testing.assert_array_equal(Executor(again).invoke([sample])[0], Executor(graph).invoke([sample])[0])


def test_average_over_uneven_padding_is_refused() -> None:
    net = FloatNetwork()
    pool = AveragePool2D(3, 3, 1, 1, ExplicitPadding((2, 2), (0, 1)), Activation.NONE)
    graph = net.graph(net.op(pool, net.input(1, 5, 5, 2)))
    with pytest.raises(UnsupportedOp, match="averages over padding"):
        export_tflite(graph)


def test_file_is_the_same_every_time() -> None:
    net = FloatNetwork()
    graph = net.graph(net.conv(net.input(1, 4, 4, 2), 3))
    assert export_tflite(graph) == export_tflite(replace(graph, name="other"))
