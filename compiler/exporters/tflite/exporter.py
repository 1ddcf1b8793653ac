"""A graph as a TFLite file: the form in which a quantized model reaches its reference runtime."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from tflite.TensorType import TensorType as FileType

from thimble.compiler.exporters.flatbuffer import Scalar, Table, write
from thimble.compiler.exporters.tflite.operators import (
    Operand,
    code_of,
    custom_code,
    file_form,
    options_type,
    version_of,
)
from thimble.compiler.exporters.tflite.paddings import spell_out_paddings
from thimble.compiler.ir.errors import UnsupportedOp
from thimble.compiler.ir.graph import Graph, Node, Role, Site, Value, constant
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.packing import pack
from thimble.compiler.ir.types import DType, QuantParams, TensorType

_SCHEMA_VERSION = 3
_INT2 = 19
"""The code of int2 in LiteRT's schema.fbs, which the tflite package does not know yet."""
_IDENTIFIER = b"TFL3"
_LAST_OLD_CODE = 127
"""Operator codes above it stand in the newer of the two fields alone; the older one then holds this."""


def export_tflite(graph: Graph) -> bytes:
    """The graph as a file. Raises UnsupportedOp where the format has no such operator, and for graphs with state."""
    if graph.states:
        raise UnsupportedOp("A graph with state cannot be written to a TFLite file yet.")
    return _Writer(spell_out_paddings(graph)).run()


@dataclass
class _Writer:
    """Gathers tensors, buffers and operators of the only subgraph. Buffer 0 is the empty one, by convention."""

    graph: Graph
    tensors: list[Table] = field(default_factory=list)
    buffers: list[Table] = field(default_factory=lambda: [Table({})])
    codes: list[tuple[int, int, str]] = field(default_factory=list)  # code, version, name of one that is CUSTOM
    operators: list[Table] = field(default_factory=list)

    def run(self) -> bytes:
        """The file's bytes."""
        for value in self.graph.values:
            self.tensors.append(self._tensor(value))
        for node, site in zip(self.graph.nodes, self.graph.sites, strict=True):
            self._add_operator(node, site)
        subgraph = Table(
            {
                0: self.tensors,
                1: np.array(self.graph.inputs, np.int32),
                2: np.array(self.graph.outputs, np.int32),
                3: self.operators,
                4: "main",
            }
        )
        version, codes = Scalar("uint", _SCHEMA_VERSION), self._operator_codes()
        model: dict[int, Scalar | str | list[Table]] = {
            0: version,
            1: codes,
            2: [subgraph],
            3: "quantized by Thimble",
            4: self.buffers,
        }
        return write(Table({**model}), _IDENTIFIER)

    def _tensor(self, value: Value) -> Table:
        buffer = self._buffer(value) if value.role is Role.CONSTANT else 0
        fields: dict[int, Scalar | str | Array | Table] = {
            0: np.array(value.type.shape, np.int32),
            1: Scalar("byte", _INT2 if value.type.dtype is DType.INT2 else getattr(FileType, value.type.dtype.name)),
            2: Scalar("uint", buffer),
            3: value.name,
            8: Scalar("bool", True),
        }
        if value.type.quant is not None:
            fields[4] = _quantization(value.type.quant)
        return Table(fields)

    def _buffer(self, value: Value) -> int:
        data, dtype = value.constant, value.type.dtype
        raw = pack(data.reshape(-1), dtype) if dtype.is_packed else np.frombuffer(data.tobytes(), np.uint8)
        self.buffers.append(Table({0: raw}))
        return len(self.buffers) - 1

    def _add_operator(self, node: Node, site: Site) -> None:
        form = file_form(site)
        inputs = node.inputs if form.operands is None else tuple(self._operand(node, x) for x in form.operands)
        fields: dict[int, Scalar | Array | Table] = {
            0: Scalar("uint", self._code(code_of(node.op), version_of(node.op), custom_code(node.op))),
            1: np.array([-1 if i is None else i for i in inputs], np.int32),
            2: np.array(node.outputs, np.int32),
        }
        if form.options is not None:
            fields[3] = Scalar("ubyte", options_type(form))
            fields[4] = form.fields
        self.operators.append(Table(fields))

    def _operand(self, node: Node, operand: Operand) -> int | None:
        """An input of the node, or a new constant tensor for an attribute."""
        if isinstance(operand, int):
            return node.inputs[operand]
        position = len(self.tensors)
        if not isinstance(operand, Value):
            operand = constant(f"attribute_{position}", operand, TensorType(operand.shape, DType(operand.dtype.name)))
        self.tensors.append(self._tensor(operand))
        return position

    def _code(self, code: int, version: int, custom: str) -> int:
        if (code, version, custom) not in self.codes:
            self.codes.append((code, version, custom))
        return self.codes.index((code, version, custom))

    def _operator_codes(self) -> list[Table]:
        tables = []
        for code, version, custom in self.codes:
            old = Scalar("byte", min(code, _LAST_OLD_CODE))
            named: dict[int, Scalar | str] = {1: custom} if custom else {}
            tables.append(Table({0: old, **named, 2: Scalar("int", version), 3: Scalar("int", code)}))
        return tables


def _quantization(quant: QuantParams) -> Table:
    return Table(
        {
            2: np.array(quant.scales, np.float32),
            3: np.array(quant.zero_points, np.int64),
            6: Scalar("int", quant.axis),
        }
    )
