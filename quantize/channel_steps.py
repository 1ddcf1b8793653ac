"""Ranges of activations, channel by channel where layers take it up, at which the outputs lose least."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType
from thimble.compiler.passes.draft import Draft
from thimble.quantize.channel_ranges import scale_between
from thimble.quantize.equalize import layer_pairs
from thimble.quantize.error_costs import ROOM, SMALLEST_PEAK, ErrorCost, takes_any_factors
from thimble.quantize.loss import loss_values
from thimble.quantize.observers import Range
from thimble.quantize.parameters import levels
from thimble.quantize.sharing import shares, sharing_groups
from thimble.quantize.weights import WEIGHT_MAX

POOLED = 0.5
"""Share of what clipping costs a channel that is taken from the mean of all channels: few samples clip in each."""

PASSED_ON = 0.35
"""What is left of the cost of weights' rounding errors where they are passed on (refit.passed_on), as measured on
MLPerf Tiny's vww."""

_EXPONENTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Starts for ranges of channels that are weighed against weights: how far they follow the channels' own peaks."""

_CHANGES = np.array([0.7, 0.85, 1.0, 1.15, 1.35, 1.7])
_SWEEPS = 2
_MOST_WORK = 1 << 29
"""Products of weights and channels up to which each channel is tried by itself."""


@dataclass(frozen=True, slots=True)
class ChosenSteps:
    """`graph` is the same function with channels scaled, `ranges` what the values of it that were measured get."""

    graph: Graph
    ranges: dict[int, Range]


def choose_steps(graph: Graph, costs: Mapping[int, ErrorCost]) -> ChosenSteps:
    """The range of each activation at which rounding and clipping cost the outputs least together.

    Where one layer alone reads what another one writes, each channel gets a range of its own: all are scaled to the
    largest one, which the first layer's scales take up for nothing. A depthwise reader takes up the inverse factors for
    nothing too; the weights of others get larger rounding errors by them, which are weighed against what is gained.
    """
    draft = Draft(graph)
    ranges = _whole_ranges(graph, costs)
    for first, second in layer_pairs(draft):
        index = graph.nodes[first].outputs[0]
        cost = costs.get(index)
        if cost is None or cost.low < 0 or not cost.peaks.max() > 0:
            continue
        if takes_any_factors(graph.sites[second]):
            tops = _free_tops(cost)
        elif cost.weight_gain is not None:
            tops = _weighed_tops(cost, _largest_taps(graph.sites[second].input(1).constant))
        else:
            continue
        scale_between(draft, first, second, tops.max() / tops)
        ranges[index] = Range(0.0, float(tops.max()))
    return ChosenSteps(draft.finish(), ranges)


def _whole_ranges(graph: Graph, costs: Mapping[int, ErrorCost]) -> dict[int, Range]:
    """One range for each group of values that are quantized alike; compared outputs are not cut off."""
    roots = sharing_groups(graph)
    copied = {i for node, site in zip(graph.nodes, graph.sites, strict=True) if shares(site) for i in node.outputs}
    groups: dict[int, list[int]] = {}
    for index in costs:
        groups.setdefault(roots[index], []).append(index)
    ranges, kept = {}, {roots[i] for i in loss_values(graph)}
    for root, members in groups.items():
        low = min(costs[i].low for i in members)
        high = max(float(costs[i].peaks.max()) for i in members)
        made = [i for i in members if i not in copied] or members
        steps = (high - low) * ROOM / (levels(DType.INT8) - 1)
        lost = sum(costs[i].gain.sum() * steps**2 / 12 + costs[i].clipped_whole for i in made)
        room = ROOM[np.where((ROOM < 1) & (root in kept), np.inf, lost).argmin()]
        ranges.update(dict.fromkeys(members, Range(low * room, high * room)))
    return ranges


def _free_tops(cost: ErrorCost) -> Array:
    """The end of each channel's range where no other channel feels it."""
    peaks = _peaks(cost)
    lost = _rounding(cost, peaks * ROOM[:, None]) + _clipping(cost)
    return np.asarray(peaks * ROOM[lost.argmin(axis=0)])


def _weighed_tops(cost: ErrorCost, weights: Array) -> Array:
    """The end of each channel's range; `weights` (outputs, channels) are the largest of the layer that reads them."""
    peaks, gain = _peaks(cost), cost.weight_gain
    assert gain is not None
    starts = [peaks**e * peaks.max() ** (1 - e) * room for e in _EXPONENTS for room in ROOM]
    clipping = _clipping(cost)
    tops = min(starts, key=lambda t: _activations(cost, clipping, t).sum() + _weights(gain, weights, t))
    if weights.size * len(tops) > _MOST_WORK:
        return np.asarray(tops)
    for _ in range(_SWEEPS):
        for channel in range(len(tops)):
            tried = np.repeat(tops[None], len(_CHANGES), axis=0)
            tried[:, channel] = np.maximum(tried[:, channel] * _CHANGES, ROOM[0] * peaks[channel])
            lost = [_activations(cost, clipping, t)[channel] + _weights(gain, weights, t) for t in tried]
            tops = tried[int(np.argmin(lost))]
    return np.asarray(tops)


def _peaks(cost: ErrorCost) -> Array:
    return np.asarray(np.maximum(cost.peaks, SMALLEST_PEAK * cost.peaks.max()))


def _rounding(cost: ErrorCost, tops: Array) -> Array:
    """The cost for each channel of rounding to the steps of ranges up to `tops` (..., channels)."""
    return np.asarray(cost.gain * (tops / (levels(DType.INT8) - 1)) ** 2 / 12)


def _clipping(cost: ErrorCost) -> Array:
    """(len(ROOM), channels): what was measured, part of it as the mean of all channels in proportion to what an error
    of a channel's whole range costs."""
    unit = cost.gain * _peaks(cost) ** 2
    mean = cost.clipped.sum(axis=1, keepdims=True) / max(float(unit.sum()), np.finfo(np.float64).tiny) * unit
    return np.asarray((1 - POOLED) * cost.clipped + POOLED * mean)


def _activations(cost: ErrorCost, clipping: Array, tops: Array) -> Array:
    """What rounding and clipping cost each channel, between the tried ranges by interpolation."""
    place = np.interp(np.log(tops / _peaks(cost)), np.log(ROOM), np.arange(len(ROOM)))
    below = np.minimum(place.astype(int), len(ROOM) - 2)
    share, channels = place - below, np.arange(len(tops))
    clipped = (1 - share) * clipping[below, channels] + share * clipping[below + 1, channels]
    return np.asarray(_rounding(cost, tops) + clipped)


def _largest_taps(weights: Array) -> Array:
    """(outputs, channels): the largest weight of all taps."""
    return np.asarray(np.abs(weights).reshape(len(weights), -1, weights.shape[-1]).max(axis=1), np.float64)


def _weights(gain: Array, weights: Array, tops: Array) -> float:
    """What the rounding of weights costs that take up the ranges of their channels, one scale an output channel."""
    scales = (weights * tops).max(axis=1) / WEIGHT_MAX
    return float(PASSED_ON / 12 * (scales**2 * (gain / tops**2).sum(axis=1)).sum())
