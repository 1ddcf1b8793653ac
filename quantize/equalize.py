"""Cross-layer equalization: channels of two neighbouring layers rescaled so that both use their integers well."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thimble.compiler.ir.graph import Graph, Site, constant
from thimble.compiler.ir.operator import Array
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.convolution import WeightedOperator
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.ops.fully_connected import FullyConnected
from thimble.compiler.passes.draft import Draft
from thimble.quantize.weights import channel_axis, channels_first, has_weights, per_channel

SWEEPS = 20
"""Sweeps over all pairs; the factors settle within far fewer."""

_DEAD = 1e-3
"""Channels whose weights are smaller than this share of their layer's largest are left alone: they hardly count, and
factors that make up for it would grow without bound."""


def equalize(graph: Graph) -> Graph:
    """The same function with each channel between two layers scaled by what makes their weights' ranges equal.

    Only where the first layer is linear or ends in RELU, so that a positive factor passes through. Source: Nagel et
    al., arXiv 1906.04721, section 4.1.
    """
    draft = Draft(graph)
    pairs = layer_pairs(draft)
    for _ in range(SWEEPS if pairs else 0):
        for first, second in pairs:
            _equalize_pair(draft, first, second)
    return draft.finish()


def layer_pairs(draft: Draft) -> list[tuple[int, int]]:
    """Positions of two layers with weights of which the second alone reads what the first writes."""
    pairs = []
    for position in draft.positions:
        site = draft.site(position)
        if not has_weights(site) or not isinstance(site.op, WeightedOperator):
            continue
        if site.op.activation not in (Activation.NONE, Activation.RELU):
            continue
        reader = draft.only_reader(draft.node(position).outputs[0])
        if reader is not None and has_weights(draft.site(reader)) and _takes_factors(draft.site(reader), site):
            pairs.append((position, reader))
    return pairs


def _takes_factors(site: Site, before: Site) -> bool:
    """Whether a layer's weights have an axis of their own for the channels before them."""
    channels = before.output().type.shape[-1]
    if isinstance(site.op, DepthwiseConv2D):
        return site.op.multiplier == 1
    return isinstance(site.op, Conv2D | FullyConnected) and site.input(1).type.shape[-1] == channels


def _equalize_pair(draft: Draft, first: int, second: int) -> None:
    """Divide the first layer's channels by factors and multiply the second layer's inputs by them."""
    one, two = draft.site(first), draft.site(second)
    made = np.abs(channels_first(one.input(1).constant, channel_axis(one))).max(axis=1)
    axis = two.input(1).constant.ndim - 1  # of a depthwise layer the channels, of the others the inputs
    read = np.abs(channels_first(two.input(1).constant, axis)).max(axis=1)
    alive = (made > _DEAD * made.max()) & (read > _DEAD * read.max())
    if not alive.any():
        return
    factors = np.sqrt(np.where(alive, made, 1) / np.where(alive, read, 1))
    factors[alive] /= np.exp(np.log(factors[alive]).mean())  # a common factor changes nothing
    scale_operand(draft, first, 1, 1 / factors, channel_axis(one))
    scale_operand(draft, first, 2, 1 / factors, 0)
    scale_operand(draft, second, 1, factors, axis)


def scale_operand(draft: Draft, position: int, operand: int, factors: Array, axis: int) -> None:
    """Give a node's operand, a constant, the factors along one axis."""
    node, value = draft.node(position), draft.site(position).input(operand)
    data = value.constant * per_channel(factors, axis, value.constant.ndim)
    new = draft.add(constant(value.name, data.astype(np.float32), value.type))
    inputs = tuple(new if i == operand else old for i, old in enumerate(node.inputs))
    draft.nodes[position] = replace(node, inputs=inputs)
