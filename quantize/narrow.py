"""Fewer bits: an integer graph with some weights and activations in int4 or int2, for whoever chose which.

The choice is made elsewhere. What is done here is the rewriting: weights to fewer levels with the biases that go with
their new scales, activations to a narrower type, and a QUANTIZE wherever a node takes or makes no such type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np

from thimble.compiler.ir.errors import UnsupportedOp, UsageError
from thimble.compiler.ir.graph import Graph, Node, Role, Site, Value, constant, verify
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType, QuantParams, TensorType
from thimble.compiler.ops.quantize import Quantize
from thimble.compiler.ops.support import check_supported, limit_broken
from thimble.quantize.parameters import QuantizedWeights
from thimble.quantize.sharing import shares
from thimble.quantize.weights import (
    BIAS_MAX,
    channel_axis,
    channels_first,
    has_weights,
    per_channel,
)

CLIPS = np.linspace(1.0, 0.25, 61)
"""Candidates for the largest weight kept, as shares of the largest one of its channel."""


@dataclass(frozen=True, slots=True)
class NarrowValue:
    """An activation's new type with its scale and zero point, which must lie in the type's range."""

    dtype: DType
    quant: QuantParams


@dataclass(frozen=True, slots=True)
class Narrowed:
    """An integer graph whose first values are those of the given one, with the same indices.

    `positions` says for each node of the given graph where it stands now; conversions stand between them.
    """

    graph: Graph
    positions: tuple[int, ...]


def narrow(graph: Graph, weights: Mapping[int, QuantizedWeights], values: Mapping[int, NarrowValue]) -> Narrowed:
    """The graph with other weights, by position of their node, and narrower activations, by index of the value.

    A bias in `weights` is at the scale of the node's input in `graph`; it follows where that input is narrowed, too.
    Inputs and outputs of the graph keep their type: their narrow form stands beside them. A node that cannot compute
    on a narrow value gets or makes the value of before, with a QUANTIZE beside it.
    Raises UsageError where a position has no weights or a value is no int8 activation, UnsupportedOp, with every
    blocker, where no form of a node is supported.
    """
    result = _Narrower(graph, weights, values).run()
    verify(result.graph)
    check_supported(result.graph)
    return result


def narrow_weights(site: Site, dtype: DType, clips: Array | None = None) -> QuantizedWeights:
    """The weights of an integer node in `dtype`, and its bias at the scales that go with them.

    `clips` (channels,) are the largest weights kept, as shares of each channel's largest one; None takes those of
    least squared error. All levels of the type are used: -8 to 7, -2 to 1. Scales are float32.
    Raises UsageError where the node has no constant weights with zero point 0.
    """
    if not has_weights(site) or set(site.input(1).quant.zero_points) != {0}:
        raise UsageError(f"{site.source} has no constant weights with zero point 0.")
    axis, old = channel_axis(site), site.input(1)
    rows = channels_first(_real(old, axis), axis)
    shares = _best_clips(rows, dtype) if clips is None else np.asarray(clips, np.float64)
    scales = _scales(rows, shares, dtype)
    stored = _levels(_real(old, axis), per_channel(scales, axis, old.constant.ndim), dtype)
    bias = None
    if site.has_input(2):
        bias = _rescaled(site.input(2).constant, np.asarray(old.quant.scales) / scales, np.dtype(np.int32))
    return QuantizedWeights(stored.astype(np.int8), scales, bias, dtype)


def _real(weights: Value, axis: int) -> Array:
    """The real numbers that stored weights stand for, in double."""
    scales = np.broadcast_to(np.asarray(weights.quant.scales, np.float64), (weights.type.shape[axis],))
    return np.asarray(weights.constant * per_channel(scales, axis, weights.constant.ndim))


def _scales(rows: Array, shares: Array, dtype: DType) -> Array:
    """float32 scales (channels,) at which the share of a channel's largest weight is the highest level."""
    peak = np.abs(rows).max(axis=1)
    smallest = np.finfo(np.float32).tiny * 2.0**30
    return np.asarray(np.maximum(peak * shares / dtype.range[1], smallest), np.float32)


def _levels(real: Array, scales: Array, dtype: DType) -> Array:
    return np.asarray(np.clip(np.rint(real / scales), *dtype.range))


def _best_clips(rows: Array, dtype: DType) -> Array:
    """For each channel the share of its largest weight at which rounding and clipping lose least together."""
    errors = np.empty((len(CLIPS), len(rows)))
    for i, clip in enumerate(CLIPS):
        scales = _scales(rows, np.full(len(rows), clip), dtype)[:, None].astype(np.float64)
        errors[i] = ((_levels(rows, scales, dtype) * scales - rows) ** 2).sum(axis=1)
    return np.asarray(CLIPS[errors.argmin(axis=0)])


def _rescaled(bias: Array, factors: Array | float, dtype: np.dtype[np.generic]) -> Array:
    """A stored bias in units that are 1 / `factors` of its own."""
    return np.asarray(np.clip(np.rint(bias.reshape(-1) * factors), -BIAS_MAX, BIAS_MAX), dtype)


@dataclass
class _Narrower:
    """Rebuilds a graph node by node. `narrow_of` and `plain_of` are a value's two forms, as indices."""

    graph: Graph
    weights: Mapping[int, QuantizedWeights]
    chosen: Mapping[int, NarrowValue]
    values: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    narrow_of: dict[int, int] = field(default_factory=dict)
    plain_of: dict[int, int] = field(default_factory=dict)
    made: set[int] = field(default_factory=set)

    def run(self) -> Narrowed:
        """The graph, not verified yet."""
        self._check()
        self.values = list(self.graph.values)
        self.made = {i for i, v in enumerate(self.values) if v.role is not Role.ACTIVATION}
        for index, form in self.chosen.items():
            self._add_forms(index, form)
        positions = []
        for position, site in enumerate(self.graph.sites):
            positions.append(self._add(position, site))
        for index in self.graph.outputs:
            self._need(index)
        return Narrowed(replace(self.graph, values=tuple(self.values), nodes=tuple(self.nodes)), tuple(positions))

    def _check(self) -> None:
        for position in self.weights:
            if not has_weights(self.graph.sites[position]):
                raise UsageError(f"{self.graph.nodes[position].source} has no constant weights to narrow.")
        for index in self.chosen:
            value = self.graph.values[index]
            if value.role not in (Role.ACTIVATION, Role.INPUT) or value.type.dtype is not DType.INT8:
                raise UsageError(f"{value.name!r} is {value.type.dtype.value}; only int8 activations are narrowed.")

    def _add_forms(self, index: int, form: NarrowValue) -> None:
        """Both forms of a value: the narrow one takes its index, unless it belongs to the graph's interface."""
        value = self.graph.values[index]
        narrow = replace(value, type=replace(value.type, dtype=form.dtype, quant=form.quant), tensor=None)
        if index in (*self.graph.inputs, *self.graph.outputs):
            self.narrow_of[index], self.plain_of[index] = self._append(replace(narrow, role=Role.ACTIVATION)), index
        else:
            self.narrow_of[index], self.plain_of[index] = index, self._append(value)
            self.values[index] = narrow

    def _append(self, value: Value) -> int:
        self.values.append(replace(value, tensor=None))
        return len(self.values) - 1

    def _add(self, position: int, site: Site) -> int:
        """Add a node in the form that takes most narrow values; its new position."""
        node = self.graph.nodes[position]
        reason = None
        for narrow_inputs, narrow_outputs in product((True, False), repeat=2):
            inputs = tuple(self._form(i, narrow_inputs) for i in node.inputs)
            outputs = tuple(self._existing(i, narrow_outputs) for i in node.outputs)
            new, constants = self._with_weights(position, site, replace(node, inputs=inputs, outputs=outputs))
            trial = self._site(new, constants)
            reason = limit_broken(trial)
            if reason is None and (_quantizations(trial) <= _quantizations(site) or not shares(site)):
                return self._place(new, constants)
        raise UnsupportedOp(f"{site.source}: {reason}")

    def _form(self, index: int | None, narrow: bool) -> int | None:
        return None if index is None else self._existing(index, narrow)

    def _existing(self, index: int, narrow: bool) -> int:
        return (self.narrow_of if narrow else self.plain_of).get(index, index)

    def _with_weights(self, position: int, site: Site, node: Node) -> tuple[Node, tuple[Value, ...]]:
        """The node with its new weights and the bias at its input's scale, as values that are not in the graph yet."""
        first = node.inputs[0] if node.inputs else None
        if not has_weights(site) or first is None:
            return node, ()
        given, chosen = self.values[first], self.weights.get(position)
        before = site.input(0).quant.scale
        if chosen is None and given.quant.scale == before:
            return node, ()
        scales = site.input(1).quant.scales if chosen is None else tuple(float(s) for s in chosen.scales)
        values: tuple[Value, ...] = () if chosen is None else (weight_value(site, chosen),)
        inputs = list(node.inputs)
        if chosen is not None:
            inputs[1] = len(self.values)
        if site.has_input(2):
            old = site.input(2)
            bias = old.constant if chosen is None or chosen.bias is None else chosen.bias
            bias = _rescaled(bias, before / given.quant.scale, old.type.dtype.numpy).reshape(old.type.shape)
            bias_scales = tuple(float(np.float32(given.quant.scale) * np.float32(s)) for s in scales)
            quant = QuantParams(bias_scales, (0,) * len(bias_scales))
            inputs[2] = len(self.values) + len(values)
            values += (constant(old.name, bias, TensorType(old.type.shape, old.type.dtype, quant)),)
        return replace(node, inputs=tuple(inputs)), values

    def _site(self, node: Node, constants: tuple[Value, ...]) -> Site:
        values = (*self.values, *constants)
        inputs = tuple(None if i is None else values[i] for i in node.inputs)
        return Site(node.op, inputs, tuple(values[i] for i in node.outputs), node.source)

    def _place(self, node: Node, constants: tuple[Value, ...]) -> int:
        self.values += constants
        for index in node.inputs:
            if index is not None:
                self._need(index)
        self.nodes.append(node)
        self.made.update(node.outputs)
        return len(self.nodes) - 1

    def _need(self, index: int) -> None:
        """Convert a value from its other form where nothing has made this one."""
        if index in self.made:
            return
        for forms, others in ((self.narrow_of, self.plain_of), (self.plain_of, self.narrow_of)):
            source = next((others[i] for i, form in forms.items() if form == index and others[i] in self.made), None)
            if source is not None:
                self.nodes.append(Node(Quantize(), (source,), (index,), f"conversion of {self.values[index].name!r}"))
                self.made.add(index)
                return


def _quantizations(site: Site) -> int:
    """How many scales and zero points the operands and results of a node have."""
    return len({value.type.quant for value in (*site.inputs, *site.outputs) if value is not None and value.type.quant})


def on_fewer_levels(quant: QuantParams, dtype: DType) -> QuantParams:
    """About the range that an int8 activation has, in a narrower type."""
    low, high = dtype.range
    step = 256 // (high - low + 1)
    zero_point = (quant.zero_point + 128) // step + low
    return QuantParams((quant.scale * step,), (zero_point,))


def weight_value(site: Site, weights: QuantizedWeights) -> Value:
    """Weights as the constant that takes the place of a node's own."""
    scales = tuple(float(s) for s in weights.scales)
    quant = QuantParams(scales, (0,) * len(scales), channel_axis(site) if len(scales) > 1 else 0)
    return constant(site.input(1).name, weights.data, TensorType(weights.data.shape, weights.dtype, quant))
