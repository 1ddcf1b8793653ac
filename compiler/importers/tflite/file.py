"""The tables of a TFLite file, read and checked: nothing behind this file trusts an index or a size."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from flatbuffers.number_types import Int32Flags
from flatbuffers.table import Table
from tflite.CallOnceOptions import CallOnceOptions
from tflite.Model import Model
from tflite.Operator import Operator
from tflite.OperatorCode import OperatorCode
from tflite.QuantizationParameters import QuantizationParameters
from tflite.SubGraph import SubGraph
from tflite.Tensor import Tensor
from tflite.VarHandleOptions import VarHandleOptions

from thimble.compiler.importers.tflite.schema import INT2, BuiltinOperator, TensorType, enum_name
from thimble.compiler.ir.errors import MalformedModel, quoted
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.packing import unpack
from thimble.compiler.ir.types import DType, QuantParams
from thimble.compiler.ir.types import TensorType as IrTensorType

_DTYPES = {
    INT2: DType.INT2,
    TensorType.INT4: DType.INT4,
    TensorType.INT8: DType.INT8,
    TensorType.UINT8: DType.UINT8,
    TensorType.INT16: DType.INT16,
    TensorType.INT32: DType.INT32,
    TensorType.INT64: DType.INT64,
    TensorType.BOOL: DType.BOOL,
    TensorType.FLOAT32: DType.FLOAT32,
}
_BUILTIN_CODE_SLOT = 10  # of OperatorCode.builtin_code in its table (schema.fbs: the fourth field)
_BROKEN_TABLE = (struct.error, IndexError, ValueError, TypeError, OverflowError, AttributeError)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class FileTensor:
    """One tensor; `dtype` is None for a type that Thimble has none for, `unsupported` says what else it cannot be."""

    name: str
    shape: tuple[int, ...]
    dtype: DType | None
    type_name: str
    quant: QuantParams | None
    data: Array | None
    is_variable: bool
    dynamic: bool
    unsupported: str


@dataclass(frozen=True, slots=True)
class FileOperator:
    """One operator: its builtin code, checked tensor indices (None for an absent input), and its options table."""

    source: str
    code: int
    inputs: tuple[int | None, ...]
    outputs: tuple[int, ...]
    intermediates: tuple[int, ...]
    options: Table | None
    variable: tuple[str, str] = ("", "")  # VAR_HANDLE: container and shared name
    called_subgraph: int = -1  # CALL_ONCE
    options_type: int = 0  # which of the schema's options tables `options` is
    custom: str = ""  # CUSTOM: the operator's name


@dataclass(frozen=True, slots=True)
class FileSubgraph:
    """One subgraph."""

    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The whole file."""

    subgraphs: tuple[FileSubgraph, ...]


def read_model(data: bytes) -> ModelFile:
    """Read every table of a TFLite file; raises MalformedModel where an offset, index or size is impossible."""
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise MalformedModel("The file is not a TFLite model: it lacks the TFL3 mark; give a .tflite file.")
    try:
        return _Reader(data).model()
    except _BROKEN_TABLE as error:
        raise MalformedModel("The file is truncated or damaged: a table in it points outside of the file.") from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._model = Model.GetRootAsModel(data, 0)
        self._constants: dict[tuple[int, DType], Array] = {}

    def model(self) -> ModelFile:
        if self._model.Version() != 3:
            raise MalformedModel(f"The file has TFLite schema version {self._model.Version()}; only 3 is known.")
        self._codes = self._operator_codes()
        count = self._length(self._model.SubgraphsLength(), "subgraphs")
        return ModelFile(tuple(self._subgraph(_there(self._model.Subgraphs(i)), i) for i in range(count)))

    def _length(self, length: int, what: str, bytes_each: int = 4) -> int:
        """A vector's length, checked against the bytes that the file could hold."""
        if length < 0 or length * bytes_each > len(self._data):
            raise MalformedModel(f"The file claims {length} {what}, more than its {len(self._data)} bytes could hold.")
        return length

    def _operator_codes(self) -> list[tuple[int, str]]:
        """For each entry its builtin code, and the name that it has beside CUSTOM."""
        count = self._length(self._model.OperatorCodesLength(), "operator codes")
        entries = [_there(self._model.OperatorCodes(i)) for i in range(count)]
        return [(_builtin_code(entry), _text(entry.CustomCode())) for entry in entries]

    def _subgraph(self, graph: SubGraph, index: int) -> FileSubgraph:
        count = self._length(graph.TensorsLength(), "tensors")
        tensors = tuple(self._tensor(_there(graph.Tensors(i))) for i in range(count))
        where = f"Subgraph {index}"
        prefix = "" if index == 0 else f"subgraph {index}, "
        return FileSubgraph(
            tensors,
            tuple(
                self._operator(_there(graph.Operators(i)), i, count, prefix)
                for i in range(self._length(graph.OperatorsLength(), "operators"))
            ),
            self._indices(graph.InputsLength(), graph.Inputs, count, f"{where}, inputs"),
            self._indices(graph.OutputsLength(), graph.Outputs, count, f"{where}, outputs"),
        )

    def _indices(self, length: int, get: Callable[[int], int], count: int, where: str) -> tuple[int, ...]:
        indices = tuple(int(get(i)) for i in range(self._length(length, f"entries in {where}")))
        for i in indices:
            if not 0 <= i < count:
                raise MalformedModel(f"{where}: tensor {i} does not exist; there are {count}.")
        return indices

    def _tensor(self, tensor: Tensor) -> FileTensor:
        name = (tensor.Name() or b"").decode("utf-8", "replace")
        where = f"Tensor {quoted(name)}"
        shape = tuple(int(tensor.Shape(i)) for i in range(self._length(tensor.ShapeLength(), f"dimensions of {where}")))
        signature = self._length(tensor.ShapeSignatureLength(), f"dimensions of {where}")
        # A batch of -1 is what converters write by default; the shape beside it says 1, and that is what runs.
        dynamic = any(d < 0 for d in shape) or any(tensor.ShapeSignature(i) < 0 for i in range(1, signature))
        dtype = _DTYPES.get(tensor.Type())
        if not dynamic:
            IrTensorType(shape, dtype or DType.INT8).check_size(where)
        unsupported = "is sparse" if tensor.Sparsity() is not None else ""
        if not unsupported and 0 in shape and dtype is not None:
            unsupported = f"is empty, of shape {shape}"
        quant = self._quant(tensor.Quantization(), shape, where)
        data = None if dtype is None or dynamic else self._contents(tensor.Buffer(), shape, dtype, where)
        type_name = enum_name(TensorType, tensor.Type())
        return FileTensor(name, shape, dtype, type_name, quant, data, bool(tensor.IsVariable()), dynamic, unsupported)

    def _quant(self, q: QuantizationParameters | None, shape: tuple[int, ...], where: str) -> QuantParams | None:
        if q is None or q.ScaleLength() == 0:
            return None
        count = self._length(q.ScaleLength(), f"scales of {where}")
        zeros = self._length(q.ZeroPointLength(), f"zero points of {where}", 8)
        scales = tuple(float(q.Scale(i)) for i in range(count))
        zero_points = tuple(int(q.ZeroPoint(i)) for i in range(zeros))
        axis = int(q.QuantizedDimension())
        if not all(np.isfinite(scale) and scale >= 0 for scale in scales):
            raise MalformedModel(f"{where} has a scale that is negative or not finite.")
        if len(zero_points) not in (1, count):
            raise MalformedModel(f"{where} has {count} scales but {zeros} zero points.")
        if len(zero_points) == 1:
            zero_points *= count
        if not all(-(1 << 31) <= zero < (1 << 31) for zero in zero_points):
            raise MalformedModel(f"{where} has a zero point beyond 32 bits.")
        if count > 1 and not (0 <= axis < len(shape) and shape[axis] == count):
            raise MalformedModel(f"{where} has {count} scales, which do not match axis {axis} of its shape {shape}.")
        return QuantParams(scales, zero_points, axis if count > 1 else 0)

    def _contents(self, buffer: int, shape: tuple[int, ...], dtype: DType, where: str) -> Array | None:
        """The tensor's constant contents, or None where its buffer is empty."""
        if buffer == 0:
            return None
        if not 0 < buffer < self._length(self._model.BuffersLength(), "buffers"):
            raise MalformedModel(f"{where} names buffer {buffer}, which does not exist.")
        entry = _there(self._model.Buffers(buffer))
        offset, size = entry.Offset(), entry.Size()
        if offset > 1:  # contents behind the flatbuffer, as in files over 2 GB
            if offset + size > len(self._data):
                raise MalformedModel(f"{where} has its contents outside of the file.")
            raw = np.frombuffer(self._data, np.uint8, size, offset)
        elif entry.DataLength() == 0:
            return None
        else:
            self._length(entry.DataLength(), f"bytes of {where}", 1)
            raw = entry.DataAsNumpy()
        elements = IrTensorType(shape, dtype).elements
        expected = dtype.bytes_of(elements)  # without gaps: int4 and int2 fill the bytes of a file
        if raw.size != expected:
            raise MalformedModel(f"{where} of shape {shape} needs {expected} bytes, but its buffer holds {raw.size}.")
        if dtype.is_packed:
            return unpack(np.asarray(raw), elements, dtype).reshape(shape)
        array = np.frombuffer(raw.tobytes(), dtype.numpy.newbyteorder("<")).astype(dtype.numpy)
        if dtype is DType.BOOL:
            if raw.max(initial=0) > 1:
                raise MalformedModel(f"{where} is bool, but its buffer holds bytes other than 0 and 1.")
            array = raw != 0
        return array.reshape(shape)

    def _operator(self, operator: Operator, index: int, tensors: int, prefix: str) -> FileOperator:
        code_index = operator.OpcodeIndex()
        if not 0 <= code_index < len(self._codes):
            raise MalformedModel(f"Operator {index} names operator code {code_index} of {len(self._codes)}.")
        code, custom = self._codes[code_index]
        custom = custom if code == BuiltinOperator.CUSTOM else ""
        name = enum_name(BuiltinOperator, code) + (f" {quoted(custom)}" if custom else "")
        source = f"{prefix}operator {index} ({name})"
        inputs = [int(operator.Inputs(i)) for i in range(self._length(operator.InputsLength(), f"inputs of {source}"))]
        if any(not -1 <= i < tensors for i in inputs):
            raise MalformedModel(f"{source} reads a tensor that does not exist; there are {tensors}.")
        intermediates = self._length(operator.IntermediatesLength(), f"intermediates of {source}")
        options = operator.BuiltinOptions()
        variable, called = ("", ""), -1
        if code == BuiltinOperator.VAR_HANDLE and options is not None:
            handle = _init(VarHandleOptions, options)
            variable = (_text(handle.Container()), _text(handle.SharedName()))
        if code == BuiltinOperator.CALL_ONCE and options is not None:
            called = int(_init(CallOnceOptions, options).InitSubgraphIndex())
        return FileOperator(
            source,
            code,
            tuple(None if i < 0 else i for i in inputs),
            self._indices(operator.OutputsLength(), operator.Outputs, tensors, f"{source}, outputs"),
            self._indices(intermediates, operator.Intermediates, tensors, f"{source}, intermediates"),
            options,
            variable,
            called,
            operator.BuiltinOptionsType(),
            custom,
        )


def _there(table: T | None) -> T:
    """A table that the format demands."""
    if table is None:
        raise MalformedModel("The file lacks a table that every TFLite model must have; it is damaged.")
    return table


def _builtin_code(entry: OperatorCode) -> int:
    """The larger of the old and the new field (GetBuiltinCode in TFLite's schema_utils.cc).

    Read here, since the tflite package's own accessor overlooks the new field where it is below 127.
    """
    table = entry._tab
    offset = table.Offset(_BUILTIN_CODE_SLOT)
    new = table.Get(Int32Flags, offset + table.Pos) if offset else 0
    return max(int(entry.DeprecatedBuiltinCode()), int(new))


def _init(schema: type[T], table: Table) -> T:
    options: Any = schema()
    options.Init(table.Bytes, table.Pos)
    return options  # type: ignore[no-any-return]


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")
