"""Which channels of a graph can be removed only together: those that its operators tie to each other."""

from __future__ import annotations

from collections import Counter

import numpy as np

from thimble.compiler.ir.graph import Graph, Role, Site
from thimble.compiler.ir.operator import Array
from thimble.compiler.ops.binary import BinaryOperator
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.ops.fully_connected import FullyConnected
from thimble.compiler.ops.join import Concatenation
from thimble.compiler.ops.mirror_pad import MirrorPad
from thimble.compiler.ops.pad import ConstantPadding
from thimble.compiler.ops.pool_2d import Pool2D
from thimble.compiler.ops.quantize import Quantize
from thimble.compiler.ops.reduce import Reduction
from thimble.compiler.ops.reshape import Relabel
from thimble.compiler.ops.resize import Resize
from thimble.compiler.ops.transpose import Transpose
from thimble.compiler.ops.unary import UnaryOperator
from thimble.compiler.passes.intervals import has_channels, keeps_channels

Tie = tuple[int, Array, Array]
"""Input position, and pairs of an input channel and the output channel that lives and dies with it."""


class ChannelClasses:
    """All channels of a graph's int8 values, parted into classes; each value's classes are `of[value]`, (channels,).

    `whole` are the values of which no channel can go: the interface, states, and what other operators touch.
    `mixing` are the positions of nodes that compute each output channel from any input channels by weights.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._uses = Counter(i for node in graph.nodes for i in node.inputs)
        self._parents: list[int] = []
        self.of: dict[int, Array] = {}
        named = {*graph.inputs, *self._uses, *(i for node in graph.nodes for i in node.outputs)}
        for index, value in enumerate(graph.values):
            if index not in named:
                continue
            if has_channels(value) and value.role is not Role.CONSTANT:
                first, count = len(self._parents), value.type.shape[-1]
                self.of[index] = np.arange(first, first + count)
                self._parents += range(first, first + count)
        self.whole = {i for i in self.of if graph.values[i].role is not Role.ACTIVATION or i in graph.outputs}
        self.mixing: list[int] = []
        for position in range(len(graph.nodes)):
            self._visit(position)
        roots = np.array([self._root(i) for i in range(len(self._parents))], np.int64)
        self.of = {value: roots[members] for value, members in self.of.items()}
        self.count = len(self._parents)

    def _visit(self, position: int) -> None:
        """Tie the channels of one node's values, or keep them all."""
        node, site = self._graph.nodes[position], self._graph.sites[position]
        if self._separable(position) and mixes_channels(site):
            self.mixing.append(position)
            return
        ties = channel_ties(site) if self._separable(position) else None
        if ties is None:
            self.whole.update(i for i in (*node.inputs, *node.outputs) if i in self.of)
            return
        made = self.of[node.outputs[0]]
        for operand, given, produced in ties:
            source = node.inputs[operand]
            assert source is not None
            for a, b in zip(self.of[source][given], made[produced], strict=True):
                self._parents[self._root(int(a))] = self._root(int(b))

    def _separable(self, position: int) -> bool:
        """Whether all that changes here has channels, and no other node reads the constants, which would be cut."""
        node = self._graph.nodes[position]
        changing = [i for i in node.inputs if i is not None and self._graph.values[i].role is not Role.CONSTANT]
        constants = [i for i in node.inputs if i is not None and i not in changing]
        shared = any(self._uses[i] > 1 or i in self._graph.outputs for i in constants)
        return bool(changing) and not shared and len(node.outputs) == 1 and {*changing, *node.outputs} <= set(self.of)

    def _root(self, channel: int) -> int:
        while self._parents[channel] != channel:
            self._parents[channel] = self._parents[self._parents[channel]]
            channel = self._parents[channel]
        return channel


def mixes_channels(site: Site) -> bool:
    """Whether each output channel is a sum over input channels by constant weights: those of `mixed_weights`."""
    op, x = site.op, site.input(0).type.shape
    if not isinstance(op, Conv2D | DepthwiseConv2D | FullyConnected) or site.input(1).role is not Role.CONSTANT:
        return False
    weights = site.input(1).type.shape
    if isinstance(op, Conv2D):
        return weights[3] == x[-1]
    if isinstance(op, DepthwiseConv2D):
        return x[-1] == 1 and op.multiplier > 1
    return weights[1] % x[-1] == 0 and site.output().type.shape[-1] == weights[0]


def mixed_weights(site: Site) -> Array:
    """The weights of a node that mixes channels, less their zero point: int64 (outputs, taps, input channels)."""
    weights = site.input(1).constant.astype(np.int64)
    if isinstance(site.op, DepthwiseConv2D):
        return weights.reshape(-1, weights.shape[3], 1).transpose(1, 0, 2)
    if isinstance(site.op, FullyConnected):
        weights = weights - site.input(1).quant.zero_points[0]
    return weights.reshape(weights.shape[0], -1, site.input(0).type.shape[-1])


def channel_ties(site: Site) -> list[Tie] | None:
    """How the output's channels go with those of the changing inputs; None where the operator is not known for that."""
    op, given, made = site.op, site.inputs[0], site.output().type.shape[-1]
    if given is None:
        return None
    if isinstance(op, BinaryOperator):
        return _binary_ties(site, made)
    if isinstance(op, Concatenation):
        return _concatenation_ties(site, op)
    channels = given.type.shape[-1]
    if isinstance(op, DepthwiseConv2D):
        return [(0, np.arange(channels).repeat(op.multiplier), np.arange(made))] if _constant_weights(site) else None
    if isinstance(op, Relabel) and made % channels == 0:
        return [(0, np.arange(made) % channels, np.arange(made))]
    if isinstance(op, Relabel) and channels % made == 0:
        return [(0, np.arange(channels), np.arange(channels) % made)]
    framed = isinstance(op, ConstantPadding | MirrorPad) and op.paddings[-1] != (0, 0)
    alone = (UnaryOperator, Quantize, Pool2D, Reduction, Resize, ConstantPadding, MirrorPad, Transpose)
    if isinstance(op, alone) and not framed and keeps_channels(site):
        return [(0, np.arange(channels), np.arange(channels))]
    return None


def _constant_weights(site: Site) -> bool:
    return site.input(1).role is Role.CONSTANT


def _binary_ties(site: Site, made: int) -> list[Tie] | None:
    """Each operand that changes has all channels of the output; a constant has them too, or one for all."""
    ties = []
    for operand, value in enumerate(site.inputs):
        if value is None or value.role is Role.CONSTANT:
            continue
        if value.type.shape[-1] != made:
            return None
        ties.append((operand, np.arange(made), np.arange(made)))
    return ties


def _concatenation_ties(site: Site, op: Concatenation) -> list[Tie] | None:
    """Parts side by side along the channels, or all of the same channels; no part may be constant."""
    if any(value is None or value.role is Role.CONSTANT for value in site.inputs):
        return None
    sizes = [value.type.shape[-1] for value in site.inputs if value is not None]
    along = op.axis % len(site.output().type.shape) == len(site.output().type.shape) - 1
    begins = np.cumsum([0, *sizes])[:-1] if along else [0] * len(sizes)
    return [
        (i, np.arange(size), np.arange(size) + begin) for i, (size, begin) in enumerate(zip(sizes, begins, strict=True))
    ]
