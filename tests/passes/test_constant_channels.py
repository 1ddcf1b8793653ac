"""Channels that are provably constant or unread go; where borders or other readers need them they stay; equal bytes."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from tests.passes.network import Network, assert_equal_bytes, draw_samples, run
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.add_sub import Add, Sub
from thimble.compiler.ops.join import Concatenation
from thimble.compiler.ops.mul import Mul
from thimble.compiler.ops.pad import Pad
from thimble.compiler.ops.pool_2d import AveragePool2D, MaxPool2D
from thimble.compiler.ops.quantize import Quantize
from thimble.compiler.ops.reduce import Mean
from thimble.compiler.ops.relu import Relu
from thimble.compiler.ops.reshape import Reshape
from thimble.compiler.ops.sigmoid import Logistic, Tanh
from thimble.compiler.ops.softmax import Softmax
from thimble.compiler.ops.transpose import Transpose
from thimble.compiler.ops.window import Axis, Padding
from thimble.compiler.passes.intervals import MAX_CHANNELS, SAFE, channel_intervals, tap_ranges
from thimble.compiler.passes.remove_constant_channels import remove_constant_channels
from thimble.compiler.passes.remove_dead import remove_dead

FAR = 1 << 20
"""A bias that no sum of a few products can bring back into the range of int8."""


def weights(*shape: int) -> np.ndarray:
    """No weight is 0, so that no channel goes unread by chance; both signs, so that none is constant by chance."""
    signs = np.where(np.indices(shape).sum(axis=0) % 2, 1, -1)
    return (np.random.default_rng(shape).integers(1, 127, shape, endpoint=True) * signs).astype(np.int8)


def narrowed(graph: Graph) -> list[int]:
    """The channels that each node's first output has after the pass, whose bytes were found equal."""
    after = remove_dead(remove_constant_channels(graph))
    assert_equal_bytes(graph, after)
    samples = draw_samples(graph)
    assert run(graph, samples, rounding=Rounding.LITERT) == run(after, samples, rounding=Rounding.LITERT)
    return [site.output().type.shape[-1] for site in after.sites if site.outputs]


def image(n: Network, channels: int = 3, zero: int = -10) -> int:
    return n.input((1, 5, 6, channels), zero=zero)


def half_dead(n: Network, x: int, zero: int = -128, **options: object) -> int:
    """A convolution of 6 outputs: 0 and 3 always at 0, 5 always at the highest value, the others alive."""
    bias = [-FAR, 100, -200, -FAR, 0, FAR]
    w = weights(6, 1, 1, n.shape(x)[3])
    return n.conv(x, w, bias, zero=zero, activation=Activation.RELU, scale=0.5, **options)  # type: ignore[arg-type]


def test_a_constant_goes_into_the_next_bias() -> None:
    n = Network()
    graph = n.graph(n.conv(half_dead(n, image(n)), weights(4, 1, 1, 6), [1, 2, 3, 4], scale=2.0))
    assert narrowed(graph) == [3, 4]
    after = remove_dead(remove_constant_channels(graph))
    assert after.macs == 5 * 6 * 3 * (3 + 4)
    assert [value.tensor for value in after.values if value.data is None] == [0, None, graph.outputs[0]]


def test_a_bias_is_made_where_there_was_none() -> None:
    n = Network()
    assert narrowed(n.graph(n.conv(half_dead(n, image(n)), weights(4, 1, 1, 6), scale=2.0))) == [3, 4]


def test_borders_keep_a_constant_that_is_not_zero() -> None:
    """Channel 5 is 127 inside of the image and 0 in the frame of SAME padding; channels 0 and 3 are 0 in both."""
    n = Network()
    x = half_dead(n, image(n))
    assert narrowed(n.graph(n.conv(x, weights(4, 3, 3, 6), [1, 2, 3, 4], scale=2.0, padding=Padding.SAME))) == [4, 4]
    n = Network()
    x = half_dead(n, image(n))
    assert narrowed(n.graph(n.conv(x, weights(4, 3, 3, 6), [1, 2, 3, 4], scale=2.0, padding=Padding.VALID))) == [3, 4]


def test_borders_that_are_the_same_everywhere_fold() -> None:
    n = Network()
    x = half_dead(n, n.input((1, 1, 2, 3)))
    assert narrowed(n.graph(n.conv(x, weights(2, 3, 3, 6), [1, 2], scale=2.0, padding=Padding.SAME))) == [4, 2]
    n = Network()
    x = half_dead(n, n.input((1, 1, 1, 3)))
    assert narrowed(n.graph(n.conv(x, weights(2, 3, 3, 6), [1, 2], scale=2.0, padding=Padding.SAME))) == [3, 2]


def test_padding_decides_whether_a_sum_is_constant() -> None:
    """A depthwise window over the constant channel sees it whole inside, and in part at the border."""
    n = Network()
    x = half_dead(n, image(n))
    ones = np.ones((1, 3, 3, 6), np.int8)
    y = n.conv(x, ones, [0] * 6, depthwise=True, scale=50.0, weight_scale=0.1, padding=Padding.SAME, zero=-128)
    bounds = channel_intervals(n.graph(y))[y]
    assert bounds.constant[[0, 3, 5]].tolist() == [True, True, False]
    corner, inside = (np.rint(127.5 * taps * 0.1 / 50) - 128 for taps in (4, 9))
    assert (bounds.low[5], bounds.high[5]) == (corner, inside)
    assert narrowed(n.graph(n.conv(y, weights(2, 1, 1, 6), [0, 0])))[1] == 6 - bounds.constant.sum()


def test_depthwise_follows_its_input() -> None:
    n = Network()
    x = half_dead(n, image(n))
    y = n.conv(x, weights(1, 2, 2, 12), range(-500, 500, 84), depthwise=True, scale=3.0, zero=5)
    assert narrowed(n.graph(n.conv(y, weights(2, 1, 1, 12), [0, 0], scale=9.0))) == [3, 6, 2]


def test_depthwise_of_one_channel_loses_outputs_alone() -> None:
    n = Network()
    x = n.input((1, 6, 6, 1))
    y = n.conv(x, weights(1, 2, 2, 4), [-FAR, 0, FAR, 7], depthwise=True, activation=Activation.RELU)
    graph = n.graph(n.conv(y, weights(2, 1, 1, 4), [0, 0], scale=9.0))
    assert narrowed(graph) == [2, 2]
    assert getattr(remove_constant_channels(graph).nodes[0].op, "multiplier", None) == 2


def test_what_lies_between_is_narrowed_too() -> None:
    n = Network()
    x = half_dead(n, image(n), zero=-128)
    x = n.node(Pad(((0, 0), (0, 1), (1, 0), (0, 0))), x)
    x = n.node(MaxPool2D(2, 2, 2, 2, Padding.VALID, Activation.NONE), x)
    x = n.node(AveragePool2D(2, 2, 1, 1, Padding.SAME, Activation.NONE), x)
    x = n.node(Quantize(), x, scale=0.7, zero=-100)
    x = n.node(Mean((1, 2), True), x)
    x = n.node(Relu(), x)
    x = n.node(Reshape((-1, 6)), x)
    graph = n.graph(n.connected(x, weights(3, 6), [1, 2, 3], scale=3.0))
    # Channel 5 is 127 inside of the frame: no longer one value, it stays.
    assert narrowed(graph) == [4] * 8 + [3]


def test_a_flattened_image_loses_a_column_for_each_pixel() -> None:
    n = Network()
    x = n.node(Reshape((1, 5 * 6 * 6)), half_dead(n, image(n)))
    graph = n.graph(n.connected(x, weights(3, 180), [1, 2, 3], scale=20.0))
    assert narrowed(graph) == [3, 90, 3]
    n = Network()
    graph = n.graph(n.connected(half_dead(n, image(n)), weights(3, 180), scale=20.0))  # flattens by itself
    assert narrowed(graph) == [3, 3]


def test_rows_split_into_channels_follow_them() -> None:
    n = Network()
    wide = n.connected(n.input((1, 4)), weights(6, 4), [0, -FAR, 0, 0, -FAR, 0], activation=Activation.RELU)
    x = n.node(Reshape((1, 1, 2, 3)), wide)
    assert narrowed(n.graph(n.conv(x, weights(2, 1, 1, 3), [0, 0]))) == [4, 2, 2]
    n = Network()
    wide = n.connected(n.input((1, 4)), weights(6, 4), [0, -FAR, 0, 0, 0, 0], activation=Activation.RELU)
    x = n.node(Reshape((1, 1, 2, 3)), wide)
    assert narrowed(n.graph(n.conv(x, weights(2, 1, 1, 3), [0, 0]))) == [6, 3, 2]


def test_sums_tie_channels_to_each_other() -> None:
    n = Network()
    x = half_dead(n, image(n))
    alive = 40_000  # outweighs channel 5
    a = n.conv(x, weights(4, 1, 1, 6), [-FAR, -FAR, alive, alive], activation=Activation.RELU, scale=2.0, zero=-128)
    b = n.conv(x, weights(4, 1, 1, 6), [-FAR, alive, -FAR, alive], activation=Activation.RELU, scale=3.0, zero=-128)
    y = n.node(Add(Activation.NONE), a, b, scale=3.0)
    assert narrowed(n.graph(n.conv(y, weights(2, 1, 1, 4), [0, 0], scale=9.0))) == [3, 3, 3, 3, 2]


def test_constant_operands_are_cut() -> None:
    n = Network()
    x = half_dead(n, image(n))
    x = n.node(Mul(Activation.NONE), n.constant(weights(1, 1, 6)), x, scale=2.0)
    x = n.node(Sub(Activation.NONE), x, n.constant(weights(1)), scale=3.0)
    assert narrowed(n.graph(n.conv(x, weights(2, 1, 1, 6), [0, 0], scale=9.0))) == [3, 3, 3, 2]


def test_concatenations_keep_their_parts_apart() -> None:
    n = Network()
    x = image(n)
    a, b = half_dead(n, x), half_dead(n, x)
    c = n.conv(x, weights(2, 1, 1, 3), [0, 0], activation=Activation.RELU, scale=0.5, zero=-128)
    side = n.node(Concatenation(3), a, c)
    on_top = n.node(Concatenation(1), n.node(Concatenation(-1), b, c), side)
    assert narrowed(n.graph(n.conv(on_top, weights(2, 1, 1, 8), [0, 0], scale=9.0))) == [3, 3, 2, 5, 5, 5, 2]


def test_channels_that_nobody_reads_go() -> None:
    n = Network()
    x = n.conv(image(n), weights(5, 1, 1, 3), scale=2.0)
    w = weights(2, 2, 2, 5)
    w[..., [1, 4]] = 0
    assert narrowed(n.graph(n.conv(x, w, [3, 4], scale=9.0))) == [3, 2]


def test_what_the_caller_sees_stays() -> None:
    n = Network()
    x = half_dead(n, image(n))
    graph = n.graph(n.conv(x, weights(2, 1, 1, 6)), x)
    assert remove_constant_channels(graph) is graph


def test_states_and_unknown_operators_keep_all_channels() -> None:
    for op, quant in ((Softmax(1.0), {"scale": 1 / 256, "zero": -128}), (Transpose((0, 1, 3, 2)), {})):
        n = Network()
        x = n.node(op, half_dead(n, image(n)), **quant)
        graph = n.graph(n.node(Mean((1, 2), False), x))
        assert remove_constant_channels(graph) is graph
    n = Network()
    x = half_dead(n, image(n))
    state = n.state(n.shape(x), 0.5, -128)
    y = n.node(Add(Activation.NONE), x, n.read(state))
    n.assign(state, x)
    graph = n.graph(n.conv(y, weights(2, 1, 1, 6)))
    assert remove_constant_channels(graph) is graph


def test_weights_of_two_nodes_stay_whole() -> None:
    n = Network()
    x = half_dead(n, image(n))
    y = n.conv(x, weights(6, 1, 1, 6))
    conv = n.nodes[-1]
    z = n.node(conv.op, x, *conv.inputs[1:], scale=0.2)
    graph = n.graph(y, z)
    assert remove_constant_channels(graph) is graph


def test_a_tensor_keeps_one_channel_at_least() -> None:
    n = Network()
    x = n.conv(image(n), weights(3, 1, 1, 3), [FAR, FAR, -FAR], activation=Activation.RELU)
    assert narrowed(n.graph(n.conv(x, weights(2, 1, 1, 3), [0, 5], scale=9.0))) == [1, 2]


def test_scales_of_each_channel_are_cut() -> None:
    n = Network()
    x = half_dead(n, image(n), weight_scale=[0.01, 0.02, 0.03, 0.04, 0.05, 0.06])
    graph = n.graph(n.conv(x, weights(2, 1, 1, 6), [0, 0], scale=9.0, weight_scale=[0.1, 0.2]))
    assert narrowed(graph) == [3, 2]
    first = remove_constant_channels(graph).sites[0]
    assert np.float32(first.input(1).quant.scales).tolist() == np.float32([0.02, 0.03, 0.05]).tolist()
    assert len(first.input(2).quant.scales) == 3


def test_requantization_that_may_wrap_around_bounds_nothing() -> None:
    """A left shift of 12 takes the bias of channel 0 out of 32 bits: its result is not where the bias points to."""
    n = Network()
    x = n.conv(image(n), weights(2, 1, 1, 3), [-FAR, -FAR // 2], scale=0.002, weight_scale=[80.0, 0.02])
    bounds = channel_intervals(n.graph(x))[x]
    assert FAR << 12 > SAFE
    assert (bounds.low[0], bounds.high[0]) == (-128, 127)
    assert bounds.high[1] == -128


@pytest.mark.parametrize("zero", [0, 5, -128])
def test_zero_points_of_weights_count(zero: int) -> None:
    n = Network()
    hidden = n.connected(n.input((2, 4)), weights(6, 4), [0, -FAR, 0, FAR, 0, 0], activation=Activation.RELU)
    y = n.connected(hidden, weights(3, 6), [1, 2, 3], scale=2.0)
    index = n.nodes[-1].inputs[1]
    assert index is not None
    quant = replace(n.values[index].quant, zero_points=(zero,))
    n.values[index] = replace(n.values[index], type=replace(n.values[index].type, quant=quant))
    assert narrowed(n.graph(y)) == [4, 3]


def test_tables_bound_what_comes_out() -> None:
    n = Network()
    x = n.node(Logistic(), half_dead(n, image(n), zero=-50), scale=1 / 256, zero=-128)
    y = n.node(Tanh(), x, scale=1 / 128)
    bounds = channel_intervals(n.graph(y))
    assert bounds[x].low[0] == bounds[x].high[0] == 0  # sigmoid(0) is 1/2
    assert bounds[x].low[1] == 0
    assert narrowed(n.graph(n.conv(y, weights(2, 1, 1, 6), [0, 0]))) == [3, 3, 3, 2]


def test_tap_ranges_are_those_of_all_windows() -> None:
    for sizes in product((1, 2, 5), (1, 2, 4), (1, 3), (1, 2), (1, 4, 7), (0, 1, 4)):
        axis = Axis(*sizes)
        input_, kernel, stride, dilation, output, pad = sizes
        expected = set()
        for start in range(-pad, output * stride - pad, stride):
            taps = [tap for tap in range(kernel) if 0 <= start + tap * dilation < input_]
            expected.add((taps[0], taps[-1] + 1) if taps else (0, 0))
        assert tap_ranges(axis) == expected, axis


def test_absurd_sizes_are_not_looked_at() -> None:
    """Models may be made to take long; bounds cost no more than a moment."""
    assert tap_ranges(Axis(1 << 26, 3, 1, 1, 1 << 26, 1)) == {(0, 2), (0, 3), (1, 3)}
    assert tap_ranges(Axis(1, 3, 1, 1, 1 << 26, 1 << 25)) is None
    n = Network()
    x = n.input((1, MAX_CHANNELS + 1))
    assert channel_intervals(n.graph(n.node(Relu(), x))) == {}
