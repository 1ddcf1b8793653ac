"""Graphs with fewer bits: their arithmetic against real numbers, their conversions, and what is refused."""

import numpy as np
import pytest

from thimble.compiler.ir.errors import UsageError
from thimble.compiler.ir.graph import Graph, Node, Role, Value, constant, verify
from thimble.compiler.ir.types import DType, QuantParams, TensorType
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.dequantize import dequantized
from thimble.compiler.ops.executor import Executor
from thimble.compiler.ops.sigmoid import Logistic
from thimble.compiler.ops.window import Padding
from thimble.quantize.narrow import NarrowValue, narrow, narrow_weights

PIXELS = QuantParams((0.05,), (3,))


def two_layers() -> Graph:
    """Two convolutions and a logistic: values 0 input, 3 and 6 between, 7 output."""
    rng = np.random.default_rng(5)
    values: list[Value] = [Value("x", TensorType((1, 4, 4, 3), DType.INT8, PIXELS), Role.INPUT)]
    nodes = []
    for layer, (given, depth, channels) in enumerate(((0, 3, 5), (3, 5, 4))):
        scales = tuple(float(s) for s in rng.uniform(0.004, 0.02, channels).astype(np.float32))
        zeros = (0,) * channels
        weights = rng.integers(-127, 127, (channels, 1, 1, depth), np.int8, endpoint=True)
        bias = rng.integers(-800, 800, channels, np.int32)
        values += [
            constant("w", weights, TensorType(weights.shape, DType.INT8, QuantParams(scales, zeros, 0))),
            constant(
                "b", bias, TensorType(bias.shape, DType.INT32, QuantParams(tuple(0.05 * s for s in scales), zeros))
            ),
            Value(f"y{layer}", TensorType((1, 4, 4, channels), DType.INT8, PIXELS)),
        ]
        op = Conv2D(Activation.NONE, 1, 1, 1, 1, Padding.VALID)
        nodes.append(Node(op, (given, len(values) - 3, len(values) - 2), (len(values) - 1,), f"layer {layer}"))
    values.append(Value("z", TensorType((1, 4, 4, 4), DType.INT8, QuantParams((1 / 256,), (-128,)))))
    nodes.append(Node(Logistic(), (6,), (7,), "logistic"))
    graph = Graph("two", tuple(values), tuple(nodes), (0,), (7,))
    verify(graph)
    return graph


def drawn_input() -> np.ndarray:
    return np.random.default_rng(6).integers(-60, 60, (1, 4, 4, 3), np.int8)


@pytest.mark.parametrize(("dtype", "error"), [(DType.INT8, 1.5), (DType.INT4, 12), (DType.INT2, 70)])
def test_weights_keep_what_their_levels_hold(dtype: DType, error: float) -> None:
    graph = two_layers()
    chosen = {i: narrow_weights(graph.sites[i], dtype) for i in (0, 1)}
    made = narrow(graph, chosen, {})
    assert made.positions == (0, 1, 2)
    for position in (0, 1):
        weights = made.graph.sites[position].input(1)
        low, high = dtype.range
        assert weights.type.dtype is dtype
        assert weights.constant.min() >= low
        assert weights.constant.max() <= high
        assert len(np.unique(weights.constant)) > 2
    before, after = (Executor(g).trace([drawn_input()])[3].astype(int) for g in (graph, made.graph))
    assert np.abs(before - after).max() <= error


def test_clips_are_kept() -> None:
    graph = two_layers()
    weights = narrow_weights(graph.sites[0], DType.INT4, np.ones(5))
    assert np.abs(weights.data).reshape(5, -1).max(axis=1).tolist() == [7] * 5


def test_activations_are_narrowed_where_nodes_take_them() -> None:
    graph = two_layers()
    form = NarrowValue(DType.INT4, QuantParams((0.8,), (0,)))
    made = narrow(graph, {}, {3: form, 6: form})
    assert [node.op.name for node in made.graph.nodes] == ["conv_2d", "conv_2d", "quantize", "logistic"]
    assert made.positions == (0, 1, 3)
    assert [made.graph.values[i].type.dtype for i in (3, 6)] == [DType.INT4, DType.INT4]
    before, after = Executor(graph).trace([drawn_input()]), Executor(made.graph).trace([drawn_input()])
    real = dequantized(before[3], PIXELS)
    assert np.abs(np.clip(real, -6.4, 5.6) - dequantized(after[3], form.quant)).max() <= 0.45
    assert after[7].dtype == np.int8


def test_the_interface_keeps_its_types() -> None:
    graph = two_layers()
    made = narrow(graph, {}, {0: NarrowValue(DType.INT4, QuantParams((0.8,), (0,)))}).graph
    assert [node.op.name for node in made.nodes] == ["quantize", "conv_2d", "conv_2d", "logistic"]
    assert made.values[made.inputs[0]].type.dtype is DType.INT8
    bias, weights = made.sites[1].input(2), made.sites[1].input(1)
    assert np.allclose(bias.type.quant.scales, 0.8 * np.array(weights.quant.scales))
    real = graph.sites[0].input(2).constant * 0.05
    assert np.abs(bias.constant * 0.8 - real).max() < 0.401


def test_what_cannot_be_narrowed_is_refused() -> None:
    graph = two_layers()
    with pytest.raises(UsageError, match="no constant weights"):
        narrow(graph, {2: narrow_weights(graph.sites[0], DType.INT4)}, {})
    with pytest.raises(UsageError, match="only int8 activations"):
        narrow(graph, {}, {1: NarrowValue(DType.INT4, QuantParams((0.8,), (0,)))})
    with pytest.raises(UsageError, match="no constant weights"):
        narrow_weights(graph.sites[2], DType.INT4)
