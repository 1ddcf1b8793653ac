"""Paddings and clamps in the operators behind and before them; always equal bytes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.passes.network import Network, rewritten, weights
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.add_sub import Add
from thimble.compiler.ops.minimum_maximum import Maximum, Minimum
from thimble.compiler.ops.mul import Mul
from thimble.compiler.ops.pad import Pad, PadV2
from thimble.compiler.ops.pool_2d import AveragePool2D, MaxPool2D
from thimble.compiler.ops.relu import Relu, Relu6
from thimble.compiler.ops.sigmoid import Tanh
from thimble.compiler.ops.window import ExplicitPadding, Padding
from thimble.compiler.passes.fold_activations import fold_activations
from thimble.compiler.passes.fold_padding import fold_padding

# fold-padding


def padded(n: Network, fill: int | None = None, frame: tuple[int, int] = (1, 2), zero: int = 3) -> int:
    """An image with a frame: of its zero point, or of `fill`."""
    x = n.node(Relu(), n.input((1, 7, 8, 3)), zero=zero)
    paddings = ((0, 0), frame, (0, 1), (0, 0))
    return n.node(Pad(paddings) if fill is None else PadV2(paddings, fill), x)


@pytest.mark.parametrize("padding", list(Padding))
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_padding_folds_into_convolutions(padding: Padding, stride: int) -> None:
    n = Network()
    x = padded(n)
    a = n.conv(x, weights(4, 3, 2, 3), [5, -7, 0, 900], stride=stride, padding=padding)
    b = n.conv(x, weights(1, 2, 3, 6), stride=stride, padding=padding, depthwise=True)
    graph = n.graph(a, b)
    assert rewritten(fold_padding, graph) == ["relu", "conv_2d", "depthwise_conv_2d"]
    assert isinstance(getattr(fold_padding(graph).nodes[1].op, "padding", None), ExplicitPadding)


def test_paddings_in_a_row_fold_into_one() -> None:
    n = Network()
    x = n.node(Pad(((0, 0), (0, 4), (2, 0), (0, 0))), padded(n))
    y = n.conv(x, weights(2, 3, 3, 3), stride=2)
    assert rewritten(fold_padding, n.graph(y)) == ["relu", "conv_2d"]


def test_windows_that_lie_in_the_frame_alone_give_the_bias() -> None:
    n = Network()
    y = n.conv(padded(n, frame=(4, 5)), weights(2, 2, 2, 3), [300, -300])
    assert rewritten(fold_padding, n.graph(y)) == ["relu", "conv_2d"]


def test_padding_with_another_value_than_zero_stays() -> None:
    n = Network()
    assert rewritten(fold_padding, n.graph(n.conv(padded(n, fill=4), weights(2, 2, 2, 3)))) == [
        "relu",
        "padv2",
        "conv_2d",
    ]
    n = Network()
    assert rewritten(fold_padding, n.graph(n.conv(padded(n, fill=3), weights(2, 2, 2, 3)))) == ["relu", "conv_2d"]


def test_padding_that_someone_else_reads_stays() -> None:
    n = Network()
    x = padded(n)
    graph = n.graph(n.conv(x, weights(2, 2, 2, 3)), x)
    assert fold_padding(graph) is graph
    n = Network()
    x = padded(n)
    graph = n.graph(n.conv(x, weights(2, 2, 2, 3)), n.node(Tanh(), x, scale=1 / 128))
    assert fold_padding(graph) is graph


def test_padding_of_channels_or_batches_stays() -> None:
    n = Network()
    x = n.node(Pad(((0, 0), (1, 1), (0, 0), (0, 1))), n.input((1, 5, 5, 2)))
    graph = n.graph(n.conv(x, weights(2, 2, 2, 3)))
    assert fold_padding(graph) is graph


def pool(kind: type[MaxPool2D] | type[AveragePool2D], size: int = 3) -> MaxPool2D | AveragePool2D:
    return kind(size, size, 2, 1, Padding.VALID, Activation.NONE)


def test_padding_folds_into_a_max_pool_where_it_never_wins() -> None:
    n = Network()
    assert rewritten(fold_padding, n.graph(n.node(pool(MaxPool2D), padded(n, zero=-128)))) == ["relu", "max_pool_2d"]


@pytest.mark.parametrize(
    ("kind", "zero", "frame"),
    [(MaxPool2D, 3, (1, 2)), (MaxPool2D, -128, (3, 0)), (AveragePool2D, -128, (1, 2))],
    ids=["frame above the least", "window in the frame alone", "average"],
)
def test_padding_before_other_pools_stays(
    kind: type[MaxPool2D] | type[AveragePool2D], zero: int, frame: tuple[int, int]
) -> None:
    n = Network()
    graph = n.graph(n.node(pool(kind), padded(n, zero=zero, frame=frame)))
    assert fold_padding(graph) is graph


# fold-activations


@pytest.mark.parametrize("clamp", [Relu(), Relu6()])
@pytest.mark.parametrize("zero", [-128, -5, 40])
def test_a_clamp_folds_into_what_it_clamps(clamp: Relu | Relu6, zero: int) -> None:
    n = Network()
    x = n.input((1, 4, 4, 3))
    y = n.node(clamp, n.conv(x, weights(3, 2, 2, 3), zero=zero, scale=0.07))
    z = n.node(clamp, n.node(Add(Activation.NONE), y, y, zero=zero, scale=0.09))
    assert rewritten(fold_activations, n.graph(z)) == ["conv_2d", "add"]


def test_clamps_one_behind_the_other_fold_into_one() -> None:
    n = Network()
    x = n.conv(n.input((1, 4, 4, 3)), weights(3, 2, 2, 3), activation=Activation.RELU, scale=0.06)
    y = n.node(Relu(), n.node(Relu6(), x))
    graph = n.graph(y)
    assert rewritten(fold_activations, graph) == ["conv_2d"]
    assert getattr(fold_activations(graph).nodes[0].op, "activation", None) is Activation.RELU6


def test_minimum_and_maximum_with_a_constant_are_clamps() -> None:
    n = Network()
    x = n.node(Mul(Activation.NONE), *[n.input((2, 5), scale=0.05, zero=-3)] * 2, scale=0.1, zero=-20)
    y = n.node(Maximum(), n.constant(np.array([-20], np.int8)), x, scale=0.1, zero=-20)
    graph = n.graph(n.node(Minimum(), y, n.constant(np.array(40, np.int8))))
    assert rewritten(fold_activations, graph) == ["mul"]
    assert getattr(fold_activations(graph).nodes[0].op, "activation", None) is Activation.RELU6


def test_a_clamp_to_what_no_activation_clamps_to_stays() -> None:
    n = Network()
    x = n.conv(n.input((1, 4, 4, 3)), weights(3, 2, 2, 3))
    graph = n.graph(n.node(Minimum(), x, n.constant(np.array([33], np.int8))))
    assert fold_activations(graph) is graph


def test_a_clamp_that_requantizes_or_shares_its_input_stays() -> None:
    n = Network()
    x = n.conv(n.input((1, 4, 4, 3)), weights(3, 2, 2, 3))
    graph = n.graph(n.node(Relu(), x, scale=0.05))
    assert fold_activations(graph) is graph
    graph = n.graph(n.node(Relu(), x), x)
    assert fold_activations(graph) is graph
