"""Remove channels that hold one value whatever the input is, and channels that nobody reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from thimble.compiler.ir.graph import Graph, Node, Role, Site, Value, constant
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType, QuantParams, TensorType
from thimble.compiler.ops.binary import BinaryOperator
from thimble.compiler.ops.convolution import WeightedOperator, WindowConvolution, bias_array
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.ops.reshape import Relabel, Reshape
from thimble.compiler.passes.channel_classes import ChannelClasses, mixed_weights
from thimble.compiler.passes.draft import Draft
from thimble.compiler.passes.intervals import Interval, channel_intervals, tap_ranges

MAX_DIMENSIONS = 1 << 20
"""Largest sum of all values' largest dimensions; a network that fits a chip stays far below."""

Kept = Mapping[int, Array]
"""For each value that has channels: which of them stay, bool (channels,)."""


def remove_constant_channels(graph: Graph) -> Graph:
    """Fold what constant channels add into the next bias, then keep only the channels that the outputs need.

    Interval arithmetic finds the constants (`intervals`). A channel goes if every node that mixes it into others has
    zero weights for it, or can add its share to the bias; channels that operators tie to each other go together.
    What is left computes the same bytes. Networks too large for any microcontroller are left alone, as the analysis
    would take long over them.
    """
    if sum(max(value.type.shape, default=1) for value in graph.values) > MAX_DIMENSIONS:
        return graph
    intervals = channel_intervals(graph)
    classes = ChannelClasses(graph)
    kept = needed_channels(graph, classes, intervals)
    if all(mask.all() for mask in kept.values()):
        return graph
    draft = Draft(graph)
    for position, site in enumerate(graph.sites):
        draft.nodes[position] = _narrowed(draft, graph.nodes[position], site, kept, intervals)
    for index, mask in kept.items():
        if not mask.all():
            value = graph.values[index]
            type_ = replace(value.type, shape=(*value.type.shape[:-1], int(mask.sum())))
            draft.values[index] = Value(value.name, type_)  # its bytes are no longer those of the model's tensor
    return draft.finish()


def needed_channels(graph: Graph, classes: ChannelClasses, intervals: Mapping[int, Interval]) -> dict[int, Array]:
    """The channels that must stay, found from the outputs backwards until nothing more is needed."""
    needed = np.zeros(classes.count, bool)
    for value in classes.whole:
        needed[classes.of[value]] = True
    wanted = {p: _wanted_inputs(graph.sites[p], intervals[_source(graph.nodes[p])]) for p in classes.mixing}
    while True:
        before = needed.sum()
        for position in reversed(classes.mixing):
            node = graph.nodes[position]
            made, given = classes.of[node.outputs[0]], classes.of[_source(node)]
            needed[given[wanted[position][needed[made]].any(axis=0)]] = True
        for members in classes.of.values():
            if not needed[members].any():
                needed[members[0]] = True  # a tensor has at least one channel
        if needed.sum() == before:
            return {value: needed[members] for value, members in classes.of.items()}


def _source(node: Node) -> int:
    source = node.inputs[0]
    assert source is not None
    return source


def _wanted_inputs(site: Site, x: Interval) -> Array:
    """Which input channels each output channel of a mixing node cannot do without: bool (outputs, input channels)."""
    weights = mixed_weights(site)
    zero = site.input(0).quant.zero_point
    taps = _common_taps(site)
    foldable = x.constant & ((x.low == zero) | (taps is not None))
    return np.asarray((weights != 0).any(axis=1) & ~foldable)


def _common_taps(site: Site) -> Array | None:
    """The taps that meet the input, bool (taps,), where they are the same under every output; None where they differ.

    Only there does a constant channel that is not zero add the same to every output.
    """
    if not isinstance(site.op, WindowConvolution):
        return np.ones(mixed_weights(site).shape[1], bool)
    rows, columns = site.op.axes(site)
    along_height, along_width = tap_ranges(rows), tap_ranges(columns)
    if along_height is None or along_width is None or len(along_height) > 1 or len(along_width) > 1:
        return None
    meets = np.zeros((rows.kernel, columns.kernel), bool)
    (top, bottom), (left, right) = *along_height, *along_width
    meets[top:bottom, left:right] = True
    return meets.reshape(-1)


def _narrowed(draft: Draft, node: Node, site: Site, kept: Kept, intervals: Mapping[int, Interval]) -> Node:
    """The node over the channels that stay; the graph's nodes that touch none of the others are left alone."""
    touched = [kept[i] for i in (*node.inputs, *node.outputs) if i is not None and i in kept]
    if all(mask.all() for mask in touched):
        return node
    made = kept[node.outputs[0]]
    if isinstance(site.op, WeightedOperator):
        return _narrowed_weights(draft, node, site, kept[_source(node)], made, intervals[_source(node)])
    if isinstance(site.op, BinaryOperator):
        inputs = tuple(_narrowed_operand(draft, i, made) for i in node.inputs)
        return replace(node, inputs=inputs)
    if isinstance(site.op, Relabel):
        return replace(node, op=Reshape((*site.output().type.shape[:-1], int(made.sum()))))
    return node


def _narrowed_operand(draft: Draft, index: int | None, made: Array) -> int | None:
    """A constant operand that has a value for each channel, cut; any other operand as it is."""
    if index is None or draft.values[index].role is not Role.CONSTANT:
        return index
    value = draft.values[index]
    if value.type.shape[-1:] != (len(made),):
        return index
    return _add_constant(draft, value.name, value.constant[..., made], value.type)


def _narrowed_weights(draft: Draft, node: Node, site: Site, given: Array, made: Array, x: Interval) -> Node:
    """Weights of the channels that stay; the bias takes what the constant ones of the others would add."""
    weights, op = site.input(1), site.op
    bias = bias_array(site, len(made))
    if isinstance(op, DepthwiseConv2D):
        data = weights.constant[..., made]
        op = replace(op, multiplier=int(made.sum() // given.sum()))
    else:
        bias = bias + _folded(site, given, x)
        blocks = weights.constant.reshape(len(made), -1, len(given))[made][:, :, given]
        data = blocks.reshape(int(made.sum()), *weights.type.shape[1:-1], -1)
    type_ = replace(weights.type, quant=_narrowed_quant(weights.type.quant, made))
    inputs = [node.inputs[0], _add_constant(draft, weights.name, data, type_), None]
    if site.has_input(2):
        type_ = replace(site.input(2).type, quant=_narrowed_quant(site.input(2).type.quant, made))
        inputs[2] = _add_constant(draft, site.input(2).name, bias[made].astype(np.int32), type_)
    elif bias[made].any():
        type_ = TensorType((), DType.INT32)
        inputs[2] = _add_constant(draft, f"{weights.name} bias", bias[made].astype(np.int32), type_)
    return replace(node, op=op, inputs=tuple(inputs))


def _folded(site: Site, given: Array, x: Interval) -> Array:
    """What the constant channels that go add to each output's sum: int64 (outputs,)."""
    taps = _common_taps(site)
    if taps is None:
        return np.zeros(site.output().type.shape[-1], np.int64)  # each of them is the zero point
    gone = ~given & x.constant
    shares = mixed_weights(site)[:, taps].sum(axis=1) * (x.low - site.input(0).quant.zero_point)
    return np.asarray(shares[:, gone].sum(axis=1))


def _narrowed_quant(quant: QuantParams | None, made: Array) -> QuantParams | None:
    """Quantization with one scale for each output channel, cut; any other as it is."""
    if quant is None or quant.per_tensor:
        return quant
    stay = np.flatnonzero(made)
    return QuantParams(tuple(quant.scales[i] for i in stay), tuple(quant.zero_points[i] for i in stay), quant.axis)


def _add_constant(draft: Draft, name: str, data: Array, type: TensorType) -> int:
    return draft.add(constant(name, data, replace(type, shape=data.shape)))
