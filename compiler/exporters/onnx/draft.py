"""An ONNX graph under construction: nodes, constants, and every activation in the layouts that nodes asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from thimble.compiler.ir.errors import UnsupportedOp
from thimble.compiler.ir.graph import Graph, Value
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.packing import pack
from thimble.compiler.ir.types import DType, QuantParams, TensorType

PACKED_CODES = {DType.INT4: TensorProto.INT4, DType.INT2: TensorProto.INT2}
"""Types of elements that share bytes, the first in the lowest bits; there are no gaps in a tensor's data."""


class Layout(Enum):
    """Where the channels of an activation of rank 4 stand; the value is the permutation that leads there."""

    CHANNELS_LAST = (0, 2, 3, 1)
    CHANNELS_FIRST = (0, 3, 1, 2)


@dataclass
class OnnxDraft:
    """`forms` holds the name of the dequantized tensor of a value in each layout that it has so far."""

    graph: Graph
    opset: int
    nodes: list[NodeProto] = field(default_factory=list)
    initializers: list[TensorProto] = field(default_factory=list)
    forms: dict[tuple[int, Layout], str] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)

    def name(self, wanted: str) -> str:
        """A tensor name that nothing has yet."""
        name, number = wanted or "tensor", 0
        while name in self._names:
            number += 1
            name = f"{wanted}_{number}"
        self._names.add(name)
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node of one output, whose name is made from `output`; that name."""
        made = self.name(output)
        self.nodes.append(helper.make_node(kind, list(inputs), [made], **attributes))
        return made

    def constant(self, wanted: str, data: Array, dtype: DType | None = None) -> str:
        """Add a constant, of a packed type where `dtype` is one; its name."""
        made = self.name(wanted)
        if dtype is not None and dtype.is_packed:
            raw = pack(data.reshape(-1), dtype).tobytes()
            self.initializers.append(helper.make_tensor(made, PACKED_CODES[dtype], data.shape, raw, raw=True))
        else:
            self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(data).reshape(data.shape), made))
        return made

    def real(self, index: int, layout: Layout = Layout.CHANNELS_LAST) -> str:
        """The real numbers of a value, in the layout asked for where it has rank 4."""
        value = self.graph.values[index]
        key = (index, layout if len(value.type.shape) == 4 else Layout.CHANNELS_LAST)
        if key not in self.forms:
            self.forms[key] = self._make(index, value, key[1])
        return self.forms[key]

    def _make(self, index: int, value: Value, layout: Layout) -> str:
        if value.data is not None:
            quant = value.type.quant
            data = value.constant if len(value.type.shape) != 4 else value.constant.transpose(_from_last(layout))
            return self.constant(value.name, data) if quant is None else self.dequantized(value, data, quant)
        other = next(held for held in Layout if (index, held) in self.forms)
        return self.node("Transpose", [self.forms[index, other]], f"{value.name}/layout", perm=list(layout.value))

    def dequantized(self, value: Value, data: Array, quant: QuantParams, axis: int = 0) -> str:
        """A quantized constant as integers with a DequantizeLinear behind them."""
        stored = self.constant(f"{value.name}/stored", data, value.type.dtype)
        scale, zero = self._affine(value.name, value.type, quant)
        attributes = {} if quant.per_tensor else {"axis": axis}
        return self.node("DequantizeLinear", [stored, scale, zero], value.name, **attributes)

    def put(self, index: int, tensor: str, layout: Layout = Layout.CHANNELS_LAST) -> None:
        """Say that a value's real numbers stand in `tensor`; quantized ones go through a pair that rounds them."""
        value = self.graph.values[index]
        held = layout if len(value.type.shape) == 4 else Layout.CHANNELS_LAST
        if value.type.quant is not None:
            scale, zero = self._affine(value.name, value.type, value.type.quant)
            stored = self.node("QuantizeLinear", [tensor, scale, zero], f"{value.name}/stored")
            tensor = self.node("DequantizeLinear", [stored, scale, zero], value.name)
        self.forms[index, held] = tensor

    def held(self, index: int) -> Layout:
        """A layout that a value has already, channels first where it has both."""
        first = (index, Layout.CHANNELS_FIRST) in self.forms
        return Layout.CHANNELS_FIRST if first else Layout.CHANNELS_LAST

    def _affine(self, name: str, type_: TensorType, quant: QuantParams) -> tuple[str, str]:
        """Constants for scale and zero point: scalars, or rows for one of each channel."""
        shape = () if quant.per_tensor else (len(quant.scales),)
        scale = self.constant(f"{name}/scale", np.array(quant.scales, np.float32).reshape(shape))
        zeros = np.array(quant.zero_points, type_.dtype.numpy).reshape(shape)
        return scale, self.constant(f"{name}/zero_point", zeros, type_.dtype)


def _from_last(layout: Layout) -> tuple[int, ...]:
    """The permutation from channels last, in which graphs hold their constants."""
    return (0, 1, 2, 3) if layout is Layout.CHANNELS_LAST else layout.value


def unsupported(source: str, what: str) -> UnsupportedOp:
    """The refusal of an operator that has no ONNX form here."""
    return UnsupportedOp(f"{source}: {what} cannot be written to an ONNX file yet; write a .tflite file instead.")
