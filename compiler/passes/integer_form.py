"""Make integer operators of float ones between DEQUANTIZE and QUANTIZE, as quantized ONNX models write them.

The arithmetic is TFLite's (fixed-point requantization), as for every integer model: onnxruntime rounds otherwise and
differs by one step here and there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from thimble.compiler.ir.graph import Graph, Node, Role, Site, Value, constant
from thimble.compiler.ir.operator import Array, Operator, Shape
from thimble.compiler.ir.types import DType, QuantParams, TensorType
from thimble.compiler.ops.convolution import WeightedOperator
from thimble.compiler.ops.dequantize import Dequantize
from thimble.compiler.ops.gather import Gather
from thimble.compiler.ops.join import Join
from thimble.compiler.ops.minimum_maximum import Extremum
from thimble.compiler.ops.pad import PadV2
from thimble.compiler.ops.pool_2d import Pool2D
from thimble.compiler.ops.quantize import Quantize
from thimble.compiler.ops.reduce import ReduceMax
from thimble.compiler.ops.relu import Relu6
from thimble.compiler.ops.reshape import Relabel
from thimble.compiler.ops.resize import ResizeBilinear, ResizeNearestNeighbor
from thimble.compiler.ops.sigmoid import Logistic, Tanh
from thimble.compiler.ops.slice import Slicing
from thimble.compiler.ops.softmax import Softmax
from thimble.compiler.ops.space_to_depth import BlockOperator
from thimble.compiler.ops.split import Cut
from thimble.compiler.ops.support import limit_broken
from thimble.compiler.ops.transpose import Transpose

_BYTES = (DType.INT8, DType.INT4, DType.INT2)
"""Activations that operators may mix, as far as they have kernels for packed ones."""

_ACTIVATIONS = (*_BYTES, DType.INT16)
_KEEP_SCALE = (Pool2D, Join, Extremum, ReduceMax, ResizeBilinear, Relu6)
"""Operators besides those that move values whose output has the scale and zero point of their inputs."""

_MOVING = (Relabel, Transpose, Slicing, Cut, Gather, BlockOperator, ResizeNearestNeighbor)
"""Operators that move the elements of their first input: before DEQUANTIZE as well as behind it."""

_OWN_OUTPUT: dict[type[Operator], dict[DType, QuantParams]] = {
    Softmax: {DType.INT8: QuantParams((2.0**-8,), (-128,)), DType.INT16: QuantParams((2.0**-15,), (0,))},
    Logistic: {DType.INT8: QuantParams((2.0**-8,), (-128,)), DType.INT16: QuantParams((2.0**-15,), (0,))},
    Tanh: {DType.INT8: QuantParams((2.0**-7,), (0,)), DType.INT16: QuantParams((2.0**-15,), (0,))},
}
"""Operators whose output has a scale and zero point of its own in TFLite."""


def integer_form(graph: Graph) -> Graph:
    """Replace each such operator; those whose constants are no integers in the model stay float."""
    if not any(isinstance(node.op, Quantize | Dequantize) for node in graph.nodes):
        return graph
    return _Rewriter(graph).run()


class _Rewriter:
    """Walks over the nodes in order; `nodes` and `values` are those of the new graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._values = list(graph.values)
        self._nodes: list[Node] = []
        self._writers = {i: node for node in graph.nodes for i in node.outputs}
        self._made: dict[int, int] = {}  # float value -> its integers
        self._signed: dict[int, int] = {}  # uint8 value -> the same as int8
        self._moved: dict[int | None, int] = {}  # float value that an operator moved -> the integers moved
        self._done: set[int] = set()  # what integer operators write already

    def run(self) -> Graph:
        """The new graph; what nobody reads any more is left to `remove_dead`."""
        for index in self._graph.inputs:
            if self._values[index].type.dtype is DType.UINT8 and self._values[index].type.quant is not None:
                self._signed[index] = self._requantized(index, _signed(self._values[index].type), "an input")
        for node, site in zip(self._graph.nodes, self._graph.sites, strict=True):
            if isinstance(node.op, Quantize):
                self._add_quantize(node)
            elif isinstance(node.op, Dequantize):
                source = self._as_bytes(self._integers(node.inputs[0]), node.source)
                self._nodes.append(replace(node, inputs=(source,)))
            elif not self._convert(node, site):
                self._nodes.append(node)
        return replace(self._graph, values=tuple(self._values), nodes=tuple(self._nodes))

    def _integers(self, index: int | None) -> int:
        assert index is not None
        return self._signed.get(index, index)

    def _add_quantize(self, node: Node) -> None:
        """A QUANTIZE, of the integers where its input has become some; uint8 results live on as int8."""
        (made,), source = node.outputs, node.inputs[0]
        if made in self._done or source is None:
            return
        source = self._made.get(source, self._stored(source) or source)
        kind = self._values[made].type
        target = kind if kind.dtype is not DType.UINT8 or kind.quant is None else _signed(kind)
        if self._values[source].type == target and self._is_only_dequantized(made):
            self._signed[made] = source
            return
        if kind.dtype.is_packed and self._values[source].type.dtype is DType.FLOAT32:
            source = self._requantized(source, replace(kind, dtype=DType.INT8), node.source)  # the same steps, not cut
        if target is kind:
            self._nodes.append(replace(node, op=Quantize(), inputs=(source,)))
            return
        self._signed[made] = self._requantized(source, target, node.source)
        if made in self._graph.outputs:
            self._nodes.append(Node(Quantize(), (self._signed[made],), (made,), node.source))

    def _is_only_dequantized(self, index: int) -> bool:
        readers = [node for node in self._graph.nodes if index in node.inputs]
        return index not in self._graph.outputs and all(isinstance(node.op, Dequantize) for node in readers)

    def _requantized(self, source: int, kind: TensorType, where: str) -> int:
        """A new value: `source` quantized to `kind`."""
        index = self._add(Value(self._values[source].name, kind))
        self._nodes.append(Node(Quantize(), (source,), (index,), where))
        return index

    def _add(self, value: Value) -> int:
        self._values.append(value)
        return len(self._values) - 1

    def _convert(self, node: Node, site: Site) -> bool:
        """Add the integer form of a float node, if it has one."""
        stored = [self._stored(i) for i in node.inputs]
        wanted = [self._wanted(i) for i in node.outputs]
        kinds = [self._values[i].type for i in stored if i is not None]
        if None in wanted and isinstance(node.op, _MOVING) and stored[0] is not None:
            return self._move(node, stored[0])
        if None in wanted or not kinds or not _go_together([kind.dtype for kind in kinds]):
            return False
        inputs = self._inputs(node, site, stored, wanted[0])
        if inputs is None:
            return False
        if any(kind.dtype.is_packed for kind in (*kinds, *filter(None, map(self._first_kind, node.outputs)))):
            return self._convert_packed(node, inputs)
        dtype = kinds[0].dtype
        own = _OWN_OUTPUT.get(type(node.op), {}).get(dtype)
        keeps = node.op.moves_values or isinstance(node.op, _KEEP_SCALE)
        quants = [own or (self._values[inputs[0]].type.quant if keeps and inputs[0] is not None else q) for q in wanted]
        outputs = [self._output(i, dtype, quant) for i, quant in zip(node.outputs, quants, strict=True)]
        op = node.op
        if isinstance(op, PadV2) and quants[0] is not None:
            op = replace(op, value=_as_stored(float(op.value), quants[0], dtype))
        self._nodes.append(replace(node, op=op, inputs=tuple(inputs), outputs=tuple(outputs)))
        return True

    def _first_kind(self, index: int) -> TensorType | None:
        """The type that the first reader of a float value quantizes it to."""
        reader = next((n for n in self._graph.nodes if index in n.inputs and isinstance(n.op, Quantize)), None)
        return None if reader is None else self._values[reader.outputs[0]].type

    def _convert_packed(self, node: Node, inputs: list[int | None]) -> bool:
        """The integer form where an operand or the result is packed: on these types, or on int8 between QUANTIZE."""
        (made,) = node.outputs
        kind = self._first_kind(made)
        assert kind is not None
        kind = _signed(kind) if kind.dtype is DType.UINT8 else kind
        for dtype, operands in ((kind.dtype, inputs), (DType.INT8, inputs), (DType.INT8, None)):
            if operands is None:
                operands = [None if i is None else self._as_bytes(i, node.source) for i in inputs]
            given = tuple(None if i is None else self._values[i] for i in operands)
            output = Value("", TensorType(self._shape(made), dtype, kind.quant))
            if limit_broken(Site(node.op, given, (output,), node.source)) is None:
                result = self._output(made, dtype, kind.quant)
                self._nodes.append(replace(node, inputs=tuple(operands), outputs=(result,)))
                return True
        return False

    def _as_bytes(self, index: int, where: str) -> int:
        """A packed activation as int8 of the same scale."""
        kind = self._values[index].type
        packed = kind.dtype.is_packed and self._values[index].role is not Role.CONSTANT
        return self._requantized(index, replace(kind, dtype=DType.INT8), where) if packed else index

    def _move(self, node: Node, source: int) -> bool:
        """Move the integers in place of the floats, and dequantize behind that for those that read floats."""
        kind = self._values[source].type
        made = [self._add(replace(self._values[i], type=replace(kind, shape=self._shape(i)))) for i in node.outputs]
        self._nodes.append(replace(node, inputs=(source, *node.inputs[1:]), outputs=tuple(made)))
        for integers, real in zip(made, node.outputs, strict=True):
            self._made[real] = self._moved[real] = integers
            self._nodes.append(Node(Dequantize(), (integers,), (real,), node.source))
        return True

    def _shape(self, index: int) -> Shape:
        return self._values[index].type.shape

    def _stored(self, index: int | None) -> int | None:
        """The integers behind a float value, where a DEQUANTIZE or an operator that moved them made it."""
        if index in self._moved:
            return self._moved[index]
        writer = None if index is None else self._writers.get(index)
        if writer is None or not isinstance(writer.op, Dequantize):
            return None
        source = self._integers(writer.inputs[0])
        kind = self._values[source].type
        usable = kind.dtype in _ACTIVATIONS and kind.quant is not None and kind.quant.per_tensor
        return source if usable else None

    def _wanted(self, index: int) -> QuantParams | None:
        """What all readers of a float value quantize it to first; None where any of them needs the floats."""
        readers = [node for node in self._graph.nodes if index in node.inputs]
        if index in self._graph.outputs or not readers or not all(isinstance(n.op, Quantize) for n in readers):
            return None
        kind = self._values[readers[0].outputs[0]].type
        return (_signed(kind) if kind.dtype is DType.UINT8 else kind).quant

    def _output(self, index: int, dtype: DType, quant: QuantParams | None) -> int:
        """The integer value in place of a float one: that of the first QUANTIZE behind it, if it is the same."""
        kind = TensorType(self._values[index].type.shape, dtype, quant)
        first = next(node for node in self._graph.nodes if index in node.inputs).outputs[0]
        there = self._values[first].type
        if there == kind:
            self._done.add(first)
            self._made[index] = first
        elif there.dtype is DType.UINT8 and _signed(there) == kind and first not in self._graph.outputs:
            self._done.add(first)
            self._made[index] = self._signed[first] = self._add(Value(self._values[first].name, kind))
        else:
            self._made[index] = self._add(Value(self._values[index].name, kind))
        return self._made[index]

    def _inputs(
        self, node: Node, site: Site, stored: Sequence[int | None], wanted: QuantParams | None
    ) -> list[int | None] | None:
        """The inputs of the integer form; None where some are neither integers nor constants that are."""
        if isinstance(node.op, WeightedOperator):
            return self._weighted_inputs(node, site, stored)
        inputs: list[int | None] = []
        for index, source in zip(node.inputs, stored, strict=True):
            if index is None or source is not None:
                inputs.append(source)
                continue
            value = self._values[index]
            if value.type.dtype is DType.FLOAT32:
                made = self._constant(value)
                if made is None:
                    return None
                inputs.append(made)
            elif value.role is Role.CONSTANT:  # such as the indices of a GATHER
                inputs.append(index)
            else:
                return None
        if isinstance(node.op, Join | Extremum) and wanted is not None:
            inputs = [None if i is None else self._at_scale(i, wanted, node.source) for i in inputs]
        return inputs

    def _at_scale(self, index: int, quant: QuantParams, where: str) -> int:
        kind = self._values[index].type
        return index if kind.quant == quant else self._requantized(index, replace(kind, quant=quant), where)

    def _constant(self, value: Value) -> int | None:
        """A float constant as the int8 that it was in the model."""
        quant = value.type.quant
        if value.data is None or quant is None or not quant.per_tensor:
            return None
        zero = quant.zero_point if -128 <= quant.zero_point <= 127 else quant.zero_point - 128
        steps = np.rint(value.constant / np.float32(quant.scale)) + zero
        if np.abs(steps + 0.5).max(initial=0) > 128:
            return None
        kind = TensorType(value.type.shape, DType.INT8, QuantParams((quant.scale,), (zero,)))
        return self._add(constant(value.name, steps.astype(np.int8), kind))

    def _weighted_inputs(self, node: Node, site: Site, stored: Sequence[int | None]) -> list[int | None] | None:
        source, weights = stored[0], site.input(1)
        quant = weights.type.quant
        if source is None or weights.data is None or quant is None:
            return None
        slices = [1] * len(weights.type.shape)
        slices[quant.axis] = len(quant.scales)
        scales = np.asarray(quant.scales, np.float32)
        steps = np.rint(weights.constant / scales.reshape(slices))
        if np.abs(steps + 0.5).max(initial=0) > 128:
            return None
        zeros = replace(quant, zero_points=(0,) * len(quant.scales), stored=None)
        kind = TensorType(weights.type.shape, _weight_type(quant.stored, steps), zeros)
        made = self._add(constant(weights.name, steps.astype(np.int8), kind))
        if not site.has_input(2):
            return [source, made]
        bias = self._bias(site.input(2), source, scales)
        return None if bias is None else [source, made, bias]

    def _bias(self, bias: Value, source: int, scales: Array) -> int | None:
        """The bias at the input's scale times the weights': int32, int64 for int16 activations."""
        if bias.data is None:
            return None
        kind = self._values[source].type
        products = np.float32(kind.quant.scale if kind.quant is not None else 0) * scales
        dtype = DType.INT64 if kind.dtype is DType.INT16 else DType.INT32
        steps = np.rint(bias.constant.reshape(-1).astype(np.float64) / products)
        if np.abs(steps).max(initial=0) > dtype.range[1]:
            return None
        quant = QuantParams(tuple(map(float, products)), (0,) * len(products))
        data = steps.astype(dtype.numpy)
        return self._add(constant(bias.name, data, TensorType(data.shape, dtype, quant)))


def _go_together(dtypes: Sequence[DType]) -> bool:
    """Whether an operator's inputs may have these types: one, or those of 8 bits and fewer."""
    return len(set(dtypes)) == 1 or all(dtype in _BYTES for dtype in dtypes)


def _weight_type(stored: DType | None, steps: Array) -> DType:
    """The packed type that weights had in the model, where they fit it without their zero point; else int8."""
    if stored is None or not steps.size:
        return DType.INT8
    low, high = stored.range
    return stored if low <= steps.min() and steps.max() <= high else DType.INT8


def _signed(kind: TensorType) -> TensorType:
    """uint8 as int8: both numbers and zero point are 128 less."""
    assert kind.quant is not None
    zeros = tuple(zero - 128 for zero in kind.quant.zero_points)
    return replace(kind, dtype=DType.INT8, quant=replace(kind.quant, zero_points=zeros))


def _as_stored(real: float, quant: QuantParams, dtype: DType) -> int:
    """A real number as stored with these parameters."""
    low, high = dtype.range
    return int(np.clip(np.rint(real / quant.scale) + quant.zero_point, low, high))
