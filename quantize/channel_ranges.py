"""Channels of one tensor brought to like ranges before they share a scale: what a factor moves, weights take up."""

from __future__ import annotations

import numpy as np

from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Array
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.passes.draft import Draft
from thimble.quantize.calibration import Calibration
from thimble.quantize.equalize import layer_pairs, scale_operand
from thimble.quantize.samples import walk
from thimble.quantize.weights import channel_axis

EXPONENT = 0.75
"""How far ranges are brought together, from not at all (0) to all the same (1): a channel that few samples of the
calibration reached may get larger values later, and needs room for them."""

_SMALLEST = 0.01
"""Channels with smaller ranges, as shares of the largest one, count as having this one."""


def join_channel_ranges(graph: Graph, calibration: Calibration) -> Graph:
    """The same function with channels that a depthwise layer reads scaled towards one range.

    Both layers have a scale for each of these channels, so that the integers of their weights stay the same, and the
    values between them use theirs better: there it acts like a scale for each channel of an activation. Only where
    the first layer is linear or ends in RELU, so that a positive factor passes through.
    """
    draft = Draft(graph)
    pairs = [pair for pair in layer_pairs(draft) if isinstance(draft.site(pair[1]).op, DepthwiseConv2D)]
    wanted = {first for first, _ in pairs}
    ranges = {}
    for position, _, outputs in walk(graph, calibration.inputs) if pairs else ():
        if position in wanted:
            ranges[position] = np.abs(outputs[0]).reshape(-1, outputs[0].shape[-1]).max(axis=0)
    for first, second in pairs:
        scale_between(draft, first, second, _factors(ranges[first]))
    return draft.finish()


def scale_between(draft: Draft, first: int, second: int, factors: Array) -> None:
    """Multiply the channels that one layer writes by factors, which the layer that reads them takes back."""
    # The last axis of weights: of a depthwise layer its channels, of the others the inputs.
    channels = draft.site(second).input(1).constant.ndim - 1
    scale_operand(draft, first, 1, factors, channel_axis(draft.site(first)))
    scale_operand(draft, first, 2, factors, 0)
    scale_operand(draft, second, 1, 1 / factors, channels)


def _factors(ranges: Array) -> Array:
    """By what each channel grows; the one with the largest range stays."""
    largest = float(ranges.max())
    if not largest > 0:
        return np.ones(len(ranges))
    return np.asarray(np.maximum(ranges / largest, _SMALLEST) ** -EXPONENT, np.float64)
