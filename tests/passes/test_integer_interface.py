"""Conversions at the borders of a graph move into its interface, and every sample finds its way back and forth."""

from __future__ import annotations

import numpy as np
import pytest

from tests.passes.network import Network, draw_samples, names
from thimble.compiler.driver.build_folder import optimize
from thimble.compiler.driver.options import Io
from thimble.compiler.ir.errors import UsageError
from thimble.compiler.ir.graph import Graph, verify
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.dequantize import Dequantize
from thimble.compiler.ops.executor import Executor
from thimble.compiler.ops.quantize import Quantize
from thimble.compiler.ops.reshape import Reshape
from thimble.compiler.ops.transpose import Transpose
from thimble.compiler.passes.integer_interface import Border, move_conversions_out

WEIGHTS = np.random.default_rng(0).integers(-127, 128, (4, 3, 3, 3))


def float_network() -> Graph:
    """Real numbers at both ends, channels first."""
    n = Network()
    x = n.input((1, 3, 6, 5), dtype=DType.FLOAT32)
    x = n.node(Quantize(), x, scale=0.031, zero=-7, dtype=DType.INT8)
    x = n.node(Transpose((0, 2, 3, 1)), x)
    x = n.node(Transpose((0, 3, 1, 2)), n.conv(x, WEIGHTS, scale=0.3, zero=4))
    return n.graph(n.node(Dequantize(), x, dtype=DType.FLOAT32))


def assert_same_results(before: Graph, after: Graph, samples: list[list[np.ndarray]]) -> None:
    """Samples of the new graph, led to the old one's interface, give there what the new outputs lead to."""
    interface = move_conversions_out(before)[1]
    ours, theirs = Executor(after), Executor(before)
    for sample in samples:
        expected = theirs.invoke(interface.model_inputs(sample))
        got = interface.model_outputs(ours.invoke(sample))
        assert [a.tobytes() for a in got] == [a.tobytes() for a in expected]


def test_real_numbers_and_layout_move_out() -> None:
    before = float_network()
    after, interface = move_conversions_out(before)
    verify(after)
    assert names(after) == ["conv_2d"]
    given, made = after.values[after.inputs[0]], after.values[after.outputs[0]]
    assert (given.type.shape, given.type.dtype, given.quant.zero_point) == ((1, 6, 5, 3), DType.INT8, -7)
    assert (made.type.shape, made.type.dtype, made.quant.zero_point) == ((1, 4, 3, 4), DType.INT8, 4)
    assert given.name == before.values[before.inputs[0]].name
    assert made.name == before.values[before.outputs[0]].name
    assert [len(border.sites) for border in (*interface.inputs, *interface.outputs)] == [2, 2]
    assert_same_results(before, after, draw_samples(after))


def test_reshapes_between_go_along_and_those_inside_stay() -> None:
    n = Network()
    x = n.node(Reshape((1, 6, 5, 3)), n.input((1, 90), dtype=DType.FLOAT32))
    x = n.node(Reshape((1, 5, 6, 3)), n.node(Quantize(), x, scale=0.031, zero=-7, dtype=DType.INT8))
    x = n.node(Reshape((1, 48)), n.conv(x, WEIGHTS))
    before = n.graph(n.node(Dequantize(), n.node(Reshape((48,)), x), dtype=DType.FLOAT32))
    after, _ = move_conversions_out(before)
    assert names(after) == ["reshape", "conv_2d", "reshape", "reshape"]
    assert_same_results(before, after, draw_samples(after))


@pytest.mark.parametrize(
    ("given", "made", "scale", "zero", "moves"),
    [
        (DType.UINT8, DType.INT8, 0.1, 0, True),
        (DType.INT16, DType.INT8, 25.6, 0, True),
        (DType.INT8, DType.INT8, 0.1, 1, False),  # -128 never comes out
        (DType.INT8, DType.INT8, 0.05, 0, False),  # nor do odd numbers
    ],
)
def test_integers_move_out_where_every_value_can_come_in(
    given: DType, made: DType, scale: float, zero: int, moves: bool
) -> None:
    n = Network()
    x = n.input((1, 6, 5, 3), 0.1, 128 if given is DType.UINT8 else 0, given)
    before = n.graph(n.conv(n.node(Quantize(), x, scale=scale, zero=zero, dtype=made), WEIGHTS))
    after, _ = move_conversions_out(before)
    assert names(after) == (["conv_2d"] if moves else ["quantize", "conv_2d"])
    assert_same_results(before, after, draw_samples(after))


def test_what_others_read_stays() -> None:
    n = Network()
    x = n.input((1, 6, 5, 3), dtype=DType.FLOAT32)
    low, high = (n.node(Quantize(), x, scale=s, zero=0, dtype=DType.INT8) for s in (0.1, 0.2))
    y = n.conv(low, WEIGHTS)
    before = n.graph(n.node(Dequantize(), y, dtype=DType.FLOAT32), n.conv(y, WEIGHTS[:, :, :, :1].repeat(4, 3)), high)
    after, interface = move_conversions_out(before)
    assert after is before or names(after) == names(before)
    assert {*interface.inputs, *interface.outputs} == {Border()}


def test_two_outputs_never_become_one() -> None:
    n = Network()
    y = n.conv(n.input((1, 6, 5, 3)), WEIGHTS)
    before = n.graph(n.node(Dequantize(), y, dtype=DType.FLOAT32), y)
    assert move_conversions_out(before)[0].outputs == before.outputs


@pytest.mark.parametrize("scale", [1e-9, 0.00783930719, 0.1, 3e35])
@pytest.mark.parametrize("zero", [-128, 0, 127])
def test_every_integer_comes_back(scale: float, zero: int) -> None:
    n = Network()
    x = n.node(Quantize(), n.input((256,), dtype=DType.FLOAT32), scale=scale, zero=zero, dtype=DType.INT8)
    before = n.graph(n.node(Reshape((2, 128)), x))
    after, interface = move_conversions_out(before)
    levels = np.arange(-128, 128, dtype=np.int8)
    assert names(after) == ["reshape"]
    assert np.array_equal(interface.inputs[0].apply(interface.model_inputs([levels])[0]), levels)


def test_a_scale_whose_numbers_overflow_stays() -> None:
    n = Network()
    x = n.node(Quantize(), n.input((1, 4), dtype=DType.FLOAT32), scale=3e38, zero=0, dtype=DType.INT8)
    assert names(move_conversions_out(n.graph(n.node(Reshape((4,)), x)))[0]) == ["quantize", "reshape"]


def test_the_whole_pipeline_in_front() -> None:
    after, interface = optimize(float_network(), io=Io.INT8)
    assert names(after) == ["conv_2d"]
    assert all(border.sites for border in (*interface.inputs, *interface.outputs))
    assert not any(border.sites for border in optimize(float_network())[1].inputs)


def test_real_numbers_that_cannot_move_are_refused() -> None:
    n = Network()
    x = n.input((1, 6, 5, 3), dtype=DType.FLOAT32)
    graph = n.graph(*(n.node(Quantize(), x, scale=s, zero=0, dtype=DType.INT8) for s in (0.1, 0.2)))
    with pytest.raises(UsageError, match="input 'v0' is float32"):
        optimize(graph, io=Io.INT8)
