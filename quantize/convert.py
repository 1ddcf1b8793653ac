"""The integer graph of a normalized float graph and the parameters that were decided for it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from thimble.compiler.ir.errors import UnsupportedOp, quoted
from thimble.compiler.ir.graph import Graph, Node, Role, Site, Value, constant, verify
from thimble.compiler.ir.types import DType, QuantParams, TensorType
from thimble.compiler.ops.pad import PadV2
from thimble.compiler.ops.quantize import Quantize
from thimble.compiler.ops.support import check_supported
from thimble.quantize.observers import Range
from thimble.quantize.parameters import Parameters, QuantizedWeights, affine, store
from thimble.quantize.sharing import fixed_output, shares
from thimble.quantize.weights import channel_axis, has_weights


@dataclass(frozen=True, slots=True)
class Converted:
    """An integer graph whose first values are those of the float graph, with the same indices.

    `positions` says for each node of the float graph where its integer form stands; conversions stand between them.
    """

    graph: Graph
    positions: tuple[int, ...]


def convert(graph: Graph, parameters: Parameters) -> Converted:
    """The graph on integers. Raises UnsupportedOp, with every blocker, where an operator has no integer form."""
    result = _Converter(graph, parameters).run()
    verify(result.graph)
    check_supported(result.graph)
    return result


@dataclass
class _Converter:
    """Builds the integer graph node by node; a QUANTIZE stands wherever two neighbours disagree about a value."""

    graph: Graph
    parameters: Parameters
    values: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    forms: dict[tuple[int, DType, QuantParams], int] = field(default_factory=dict)
    positions: list[int] = field(default_factory=list)

    def run(self) -> Converted:
        """The graph, not verified yet."""
        self.values = [self._converted(i, value) for i, value in enumerate(self.graph.values)]
        for position, site in enumerate(self.graph.sites):
            self._add(position, site)
        graph = replace(self.graph, values=tuple(self.values), nodes=tuple(self.nodes))
        return Converted(graph, tuple(self.positions))

    def _converted(self, index: int, value: Value) -> Value:
        """A float activation on integers; constants wait for the nodes that read them."""
        if index not in self.parameters.values:
            return value
        dtype = self._own_dtype(index)
        return replace(value, type=self._type(value, self._quant(index, dtype), dtype))

    def _own_dtype(self, index: int) -> DType:
        """int16 for a value that only int16 nodes write and read, so that nothing needs its int8 form."""
        wide, nodes = self.parameters.wide, self.graph.nodes
        readers = [position for position, node in enumerate(nodes) if index in node.inputs]
        writers = [position for position, node in enumerate(nodes) if index in node.outputs]
        all_wide = bool(readers or writers) and wide.issuperset(readers) and wide.issuperset(writers)
        return DType.INT16 if all_wide else DType.INT8

    def _type(self, value: Value, quant: QuantParams, dtype: DType) -> TensorType:
        return TensorType(value.type.shape, dtype, quant)

    def _add(self, position: int, site: Site) -> None:
        node = self.graph.nodes[position]
        dtype = DType.INT16 if position in self.parameters.wide else DType.INT8
        inputs = list(node.inputs)
        if has_weights(site):
            inputs = [self._activation(inputs[0], dtype), *self._weights(position, site, dtype)]
        else:
            inputs = [self._operand(i, site, node, dtype) for i in inputs]
        outputs, after = [], []
        for index in node.outputs:
            output, conversion = self._output(index, site, dtype, node.source)
            outputs.append(output)
            after += conversion
        op = site.op
        if isinstance(op, PadV2) and self.values[outputs[0]].type.quant is not None:
            op = replace(op, value=int(store(np.array(op.value), self.values[outputs[0]].quant, dtype)))
        self.positions.append(len(self.nodes))
        self.nodes += [replace(node, op=op, inputs=tuple(inputs), outputs=tuple(outputs)), *after]

    def _operand(self, index: int | None, site: Site, node: Node, dtype: DType) -> int | None:
        """An operand in the type that a node needs; a constant is quantized as its neighbours or by its own range."""
        if index is None or self.graph.values[index].type.dtype is not DType.FLOAT32:
            return index
        value = self.graph.values[index]
        if value.role is not Role.CONSTANT:
            return self._activation(index, dtype)
        if shares(site):
            quant = self._quant(node.outputs[0], dtype)
        else:
            quant = affine(Range(float(value.constant.min()), float(value.constant.max())), dtype)
        return self._append(constant(value.name, store(value.constant, quant, dtype), self._type(value, quant, dtype)))

    def _weights(self, position: int, site: Site, dtype: DType) -> list[int]:
        """int8 weights and a bias at input scale times weight scale: int32, int64 under int16 activations."""
        weights: QuantizedWeights = self.parameters.weights[position]
        axis, scales = channel_axis(site), tuple(float(s) for s in weights.scales)
        zeros = (0,) * len(scales)
        data = constant(
            site.input(1).name,
            weights.data,
            TensorType(weights.data.shape, weights.dtype, QuantParams(scales, zeros, axis)),
        )
        indices = [self._append(data)]
        if weights.bias is None:
            return indices
        in_scale = self.values[self._activation(self.graph.nodes[position].inputs[0], dtype)].quant.scale
        bias_scales = tuple(float(np.float32(in_scale) * np.float32(s)) for s in scales)
        kind = DType.INT64 if dtype is DType.INT16 else DType.INT32
        bias_type = TensorType(weights.bias.shape, kind, QuantParams(bias_scales, zeros, 0))
        # An int16 input has a smaller scale than the int8 one that the bias was made for.
        finer = self.parameters.values[_index(self.graph.nodes[position])].scale / in_scale
        stored = weights.bias if finer == 1 else np.rint(weights.bias * finer)
        bias = constant(site.input(2).name, stored.astype(kind.numpy), bias_type)
        return [*indices, self._append(bias)]

    def _output(self, index: int, site: Site, dtype: DType, source: str) -> tuple[int, list[Node]]:
        """Where a node writes a value, and the conversion behind it where its kernel writes another form."""
        if self.graph.values[index].type.dtype is not DType.FLOAT32:
            return index, []
        made = fixed_output(site, dtype) or self._quant(index, dtype)
        value = self.values[index]
        if dtype is value.type.dtype and made == value.quant:
            return index, []
        other = self._append(replace(value, type=self._type(value, made, dtype)))
        self.forms[index, dtype, made] = other
        return other, [Node(Quantize(), (other,), (index,), f"{source}, its output converted")]

    def _quant(self, index: int, dtype: DType) -> QuantParams:
        """Scale and zero point of a value in a type: its own for int8; for int16 what the kernel that writes it fixes,
        or symmetric over the same range."""
        quant = self.parameters.values[index]
        if dtype is DType.INT8:
            return quant
        return self._fixed_wide.get(index) or wide_quant(quant)

    @cached_property
    def _fixed_wide(self) -> dict[int, QuantParams]:
        """The int16 form of values that have the scale and zero point which their operator fixes."""
        found = {}
        for node, site in zip(self.graph.nodes, self.graph.sites, strict=True):
            wide = fixed_output(site, DType.INT16)
            if wide is not None and self.parameters.values.get(node.outputs[0]) == fixed_output(site, DType.INT8):
                found[node.outputs[0]] = wide
        return found

    def _activation(self, index: int | None, dtype: DType) -> int:
        """A value in the type that a node needs; converted where it has another one."""
        assert index is not None
        value = self.values[index]
        if dtype is value.type.dtype:
            return index
        quant = self._quant(index, dtype)
        if (index, dtype, quant) not in self.forms:
            other = self._append(replace(value, role=Role.ACTIVATION, type=self._type(value, quant, dtype)))
            self.nodes.append(Node(Quantize(), (index,), (other,), f"conversion of {value.name!r}"))
            self.forms[index, dtype, quant] = other
        return self.forms[index, dtype, quant]

    def _append(self, value: Value) -> int:
        self.values.append(replace(value, tensor=None))
        return len(self.values) - 1


def _index(node: Node) -> int:
    """The value that a node with weights multiplies."""
    assert node.inputs[0] is not None
    return node.inputs[0]


def wide_quant(quant: QuantParams) -> QuantParams:
    """The int16 form of an int8 quantization: symmetric, over the same range."""
    low, high = (-128 - quant.zero_point) * quant.scale, (127 - quant.zero_point) * quant.scale
    return affine(Range(low, high), DType.INT16)


def float_only(graph: Graph) -> None:
    """Raise UnsupportedOp for a graph that cannot be quantized: with state, integer inputs or integers inside."""
    if graph.states:
        raise UnsupportedOp("A model with state cannot be quantized yet; quantize it where it was trained.")
    if any(value.type.quant is not None and value.data is None for value in graph.values):
        raise UnsupportedOp("The model is not a float model: it holds quantized integers already.")
    for index in graph.inputs:
        value = graph.values[index]
        if value.type.dtype is not DType.FLOAT32:
            raise UnsupportedOp(
                f"Input {quoted(value.name)} is {value.type.dtype.value}; only float inputs are quantized."
            )
