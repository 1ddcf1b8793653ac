"""Bounds that every element of each channel keeps for every input of the network: interval arithmetic on int8 graphs.

A channel is an index of the last dimension. All operators here are monotone, or monotone in each operand, up to their
last rounding and clamp, so the bounds of a result are what the integer arithmetic itself gives for bounds of operands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from thimble.compiler.ir.graph import Graph, Role, Site, Value
from thimble.compiler.ir.operator import Array, Operator, Rounding
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.activation import quantized_range
from thimble.compiler.ops.add_sub import AddOrSub
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.convolution import WeightedOperator, bias_array
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.ops.fully_connected import FullyConnected
from thimble.compiler.ops.join import Concatenation
from thimble.compiler.ops.minimum_maximum import Extremum
from thimble.compiler.ops.mul import Mul
from thimble.compiler.ops.pad import ConstantPadding
from thimble.compiler.ops.pool_2d import Pool2D
from thimble.compiler.ops.reduce import ReduceMax, Total
from thimble.compiler.ops.reshape import Relabel
from thimble.compiler.ops.resize import ResizeNearestNeighbor
from thimble.compiler.ops.transpose import Transpose
from thimble.compiler.ops.value_table import value_table
from thimble.compiler.ops.window import Axis

SAFE = (1 << 31) - 256
"""Where sums, shifted left, stay below this size, adding a zero point cannot wrap around at 32 bits either.

Requantization then keeps the order of its operands: its multiplier is positive and below 1.
"""

MAX_CHANNELS = 1 << 14
"""Values with more channels than this are not looked at: they are rows of a flattened image, if not an attack."""

MAX_BORDER = 1000
"""Windows along an axis that may reach beyond the input, and ways in which taps of both axes may meet it."""


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """Smallest and largest stored value of each channel, both possible bounds included: int64 arrays (channels,)."""

    low: Array
    high: Array

    @property
    def constant(self) -> Array:
        """Which channels hold one value only: bool (channels,)."""
        return np.asarray(self.low == self.high)


def has_channels(value: Value) -> bool:
    """Whether bounds are kept of a value: int8, not empty, with a last dimension that is not absurdly large."""
    shape = value.type.shape
    return value.type.dtype is DType.INT8 and value.type.elements > 0 and len(shape) > 0 and shape[-1] <= MAX_CHANNELS


def channel_intervals(graph: Graph) -> dict[int, Interval]:
    """The bounds of each value that has channels; the whole range of int8 where nothing better is known."""
    known = {i: _given(value) for i, value in enumerate(graph.values) if has_channels(value)}
    for node, site in zip(graph.nodes, graph.sites, strict=True):
        if len(node.outputs) != 1 or node.outputs[0] not in known:
            continue
        operands = [known.get(-1 if i is None else i) for i in node.inputs]
        result = _result(site, operands)
        if result is not None:
            known[node.outputs[0]] = result
    return known


def tap_ranges(axis: Axis) -> set[tuple[int, int]] | None:
    """The ranges [first, stop) of taps that meet the input, over all outputs along an axis.

    None where more than MAX_BORDER windows reach beyond the input: no real network has so many.
    """
    reach = (axis.kernel - 1) * axis.dilation + 1
    before = min(-(-axis.pad // axis.stride), axis.output)  # the first output whose window lies inside
    behind = min(max((axis.input - reach + axis.pad) // axis.stride + 1, before), axis.output)
    if before + axis.output - behind > MAX_BORDER:
        return None
    ranges = {(0, axis.kernel)} if behind > before else set()
    for output in (*range(before), *range(behind, axis.output)):
        start = output * axis.stride - axis.pad
        first = max(-(start // axis.dilation), 0)
        stop = min(-((start - axis.input) // axis.dilation), axis.kernel)
        ranges.add((first, stop) if first < stop else (0, 0))
    return ranges


def _given(value: Value) -> Interval:
    """What is known of a value before its node is looked at."""
    if value.role is Role.CONSTANT:
        rows = value.constant.reshape(-1, value.type.shape[-1]).astype(np.int64)
        return Interval(rows.min(0), rows.max(0))
    low, high = value.type.dtype.range
    channels = value.type.shape[-1]
    return Interval(np.full(channels, low, np.int64), np.full(channels, high, np.int64))


Operands = Sequence[Interval | None]


def _result(site: Site, operands: Operands) -> Interval | None:
    """The bounds of a node's output; None where its operator or its operands are beyond this analysis."""
    table = value_table(site)
    if table is not None and operands[table.operand] is not None:
        return _mapped(table.results, operands[table.operand])
    for kind, rule in _RULES:
        if isinstance(site.op, kind):
            return rule(site, operands)
    return None


def _mapped(results: Array, x: Interval | None) -> Interval | None:
    """A table of 256 results, indexed by stored value + 128."""
    assert x is not None
    pairs, channels = np.unique(np.stack([x.low, x.high]), axis=1, return_inverse=True)
    parts = [results[low + 128 : high + 129] for low, high in pairs.T]
    low, high = np.array([part.min() for part in parts]), np.array([part.max() for part in parts])
    return Interval(low[channels.reshape(-1)], high[channels.reshape(-1)])


def _convolved(site: Site, operands: Operands) -> Interval | None:
    """Both convolutions: products of each tap bounded, then summed over the taps that meet the input."""
    op, x = site.op, operands[0]
    assert isinstance(op, Conv2D | DepthwiseConv2D)
    if x is None or site.input(1).role is not Role.CONSTANT:
        return None
    weights = site.input(1).constant.astype(np.int64)
    low, high = (bound - site.input(0).quant.zero_point for bound in (x.low, x.high))
    if isinstance(op, DepthwiseConv2D):
        weights = weights[0].transpose(2, 0, 1)[..., None]  # (O, KH, KW, 1)
        low, high = (bound.repeat(op.multiplier)[:, None] for bound in (low, high))
    else:
        channels, depth = weights.shape[0], weights.shape[3]
        groups = len(low) // depth
        low, high = (bound.reshape(groups, depth).repeat(channels // groups, axis=0) for bound in (low, high))
    least, most = _product_bounds(weights, low[:, None, None], high[:, None, None])
    rows, columns = (tap_ranges(axis) for axis in op.axes(site))
    if rows is None or columns is None or len(rows) * len(columns) > MAX_BORDER:
        return None
    parts = [np.s_[:, top:bottom, left:right] for top, bottom in rows for left, right in columns]
    return _finished(
        site,
        np.min([least[part].sum((1, 2)) for part in parts], axis=0),
        np.max([most[part].sum((1, 2)) for part in parts], axis=0),
        op.finish,
    )


def _product_bounds(weights: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Bounds of sum(weights * x) over the last axis for low <= x <= high."""
    positive, negative = np.maximum(weights, 0), np.minimum(weights, 0)
    return (positive * low + negative * high).sum(-1), (positive * high + negative * low).sum(-1)


def _connected(site: Site, operands: Operands) -> Interval | None:
    """FULLY_CONNECTED, whose rows hold all channels once or several times; bounds that hold for both roundings."""
    op, x = site.op, operands[0]
    assert isinstance(op, FullyConnected)
    if x is None or site.input(1).role is not Role.CONSTANT or site.input(1).type.shape[1] % len(x.low):
        return None
    weights = site.input(1).constant.astype(np.int64) - site.input(1).quant.zero_points[0]
    repeats = weights.shape[1] // len(x.low)
    low, high = (np.tile(bound - site.input(0).quant.zero_point, repeats) for bound in (x.low, x.high))
    sums = _product_bounds(weights, low, high)
    bounds = [_finished(site, *sums, partial(op.finish_as, rounding=rounding)) for rounding in Rounding]
    return Interval(np.min([b.low for b in bounds], axis=0), np.max([b.high for b in bounds], axis=0))


def _finished(site: Site, least: Array, most: Array, finish: Callable[[Site, Array], Array]) -> Interval:
    """Bounds of sums to bounds of stored outputs; the whole range for channels whose requantization might wrap."""
    op = site.op
    assert isinstance(op, WeightedOperator)
    channels = len(least)
    bias = bias_array(site, channels)
    size = np.maximum(np.abs(least + bias), np.abs(most + bias)) << np.maximum(op.multipliers(site, channels)[1], 0)
    return _unless_wrapped(size, finish(site, least), finish(site, most))


def _unless_wrapped(size: Array, low: Array, high: Array) -> Interval:
    """`low` and `high` where the largest intermediate `size` is safe, else the whole range of int8."""
    safe = size < SAFE
    return Interval(np.where(safe, low.astype(np.int64), -128), np.where(safe, high.astype(np.int64), 127))


def _combined(site: Site, operands: Operands) -> Interval | None:
    """Two operands, the result monotone in each (a product: bilinear): its extremes lie at the corners."""
    op, (a, b) = site.op, operands[:2]
    assert isinstance(op, AddOrSub | Mul | Extremum)
    if a is None or b is None:
        return None
    corners = np.array([op.compute(site, x, y) for x in (a.low, a.high) for y in (b.low, b.high)])
    if corners.shape[1:] != site.output().type.shape[-1:]:
        return None
    if isinstance(op, Mul) and not all(multiplier * (1 << 16) < SAFE for multiplier in op.real_multipliers(site)):
        return None
    return Interval(corners.min(0), corners.max(0))


def _pooled(site: Site, operands: Operands) -> Interval | None:
    """A mean or a maximum lies between the smallest and the largest element."""
    assert isinstance(site.op, Pool2D)
    if operands[0] is None:
        return None
    limits = quantized_range(site.op.activation, site.output().quant, DType.INT8)
    return Interval(np.clip(operands[0].low, *limits), np.clip(operands[0].high, *limits))


def _totalled(site: Site, operands: Operands) -> Interval | None:
    """MEAN and SUM over other dimensions than the channels."""
    op, x = site.op, operands[0]
    assert isinstance(op, Total)
    if x is None or not keeps_channels(site):
        return None
    count, zero = op.count(site), site.input(0).quant.zero_point
    size = np.maximum(np.abs(x.low - zero), np.abs(x.high - zero)) * count << max(op.multiplier(site)[1], 0)
    return _unless_wrapped(size, op.finish(site, x.low * count), op.finish(site, x.high * count))


def _framed(site: Site, operands: Operands) -> Interval | None:
    """PAD and PADV2: the frame's value joins."""
    op, x = site.op, operands[0]
    assert isinstance(op, ConstantPadding)
    if x is None:
        return None
    fill = int(op.fill(site))
    *outer, last = op.paddings
    low, high = (np.pad(bound, last, constant_values=fill) for bound in (x.low, x.high))
    framed = any(before or after for before, after in outer)
    return Interval(np.minimum(low, fill), np.maximum(high, fill)) if framed else Interval(low, high)


def _joined(site: Site, operands: Operands) -> Interval | None:
    """CONCATENATION along the channels, or of the same channels."""
    op, parts = site.op, [x for x in operands if x is not None]
    assert isinstance(op, Concatenation)
    if len(parts) < len(operands):
        return None
    if op.axis % len(site.output().type.shape) == len(site.output().type.shape) - 1:
        return Interval(np.concatenate([x.low for x in parts]), np.concatenate([x.high for x in parts]))
    return Interval(np.min([x.low for x in parts], axis=0), np.max([x.high for x in parts], axis=0))


def _moved(site: Site, operands: Operands) -> Interval | None:
    """The same elements elsewhere: channel by channel where they stay apart, else all in one range."""
    x, channels = operands[0], site.output().type.shape[-1]
    if x is None:
        return None
    if keeps_channels(site):
        return x
    if isinstance(site.op, Relabel) and channels % len(x.low) == 0:
        return Interval(*(np.tile(bound, channels // len(x.low)) for bound in (x.low, x.high)))
    if isinstance(site.op, Relabel) and len(x.low) % channels == 0:
        return Interval(x.low.reshape(-1, channels).min(0), x.high.reshape(-1, channels).max(0))
    return Interval(np.full(channels, x.low.min()), np.full(channels, x.high.max()))


def keeps_channels(site: Site) -> bool:
    """Whether the output's channels are those of input 0, one by one, in an operator that works on each alone."""
    op, given, made = site.op, site.input(0).type.shape, site.output().type.shape
    if isinstance(op, Total | ReduceMax):
        return len(given) - 1 not in op.reduced(site)
    if isinstance(op, Transpose):
        return op.permutation[-1] == len(given) - 1
    return given[-1] == made[-1]


_RULES: tuple[tuple[type[Operator] | tuple[type[Operator], ...], Callable[[Site, Operands], Interval | None]], ...] = (
    ((Conv2D, DepthwiseConv2D), _convolved),
    (FullyConnected, _connected),
    ((AddOrSub, Mul, Extremum), _combined),
    (Pool2D, _pooled),
    (Total, _totalled),
    (ConstantPadding, _framed),
    (Concatenation, _joined),
    ((Relabel, Transpose, ReduceMax, ResizeNearestNeighbor), _moved),
)
"""What is known of each operator; its operands are int8 values with channels, constant or not."""
