"""Builds TFLite models for tests: tensors and operators in, the bytes of a model file out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

TENSOR_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.uint8): schema.TensorType.UINT8,
    np.dtype(np.int16): schema.TensorType.INT16,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int64): schema.TensorType.INT64,
    np.dtype(np.bool_): schema.TensorType.BOOL,
}


class ModelBuilder:
    """One subgraph by default; `subgraph()` begins a further one (for CALL_ONCE)."""

    def __init__(self) -> None:
        self._model = schema.ModelT()
        self._model.version = 3
        self._model.description = b"thimble test model"
        self._model.operatorCodes = []
        self._model.subgraphs = []
        self._model.buffers = [schema.BufferT()]
        self.subgraph("main")

    def subgraph(self, name: str) -> int:
        """Begin a new subgraph, which tensors and operators go into from now on; its index."""
        graph = schema.SubGraphT()
        graph.name = name.encode()
        graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], [], []
        self._model.subgraphs.append(graph)
        self._graph = graph
        return len(self._model.subgraphs) - 1

    def tensor(
        self,
        shape: Sequence[int],
        dtype: Any = np.int8,
        scale: float | Sequence[float] | None = None,
        zero_point: int | Sequence[int] = 0,
        *,
        axis: int = 0,
        data: Any = None,
        variable: bool = False,
        name: str | None = None,
        type_code: int | None = None,
    ) -> int:
        """Add a tensor; its index. `data` makes it constant; a sequence of scales makes it per-axis."""
        tensor = schema.TensorT()
        tensor.shape = [int(d) for d in shape]
        tensor.type = TENSOR_TYPES[np.dtype(dtype)] if type_code is None else type_code
        tensor.name = (name or f"t{len(self._graph.tensors)}").encode()
        tensor.isVariable = variable
        tensor.buffer = 0
        if scale is not None:
            scales = np.atleast_1d(np.asarray(scale, np.float32))
            zeros = np.broadcast_to(np.asarray(zero_point, np.int64), scales.shape)
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = [float(s) for s in scales]
            tensor.quantization.zeroPoint = [int(z) for z in zeros]
            tensor.quantization.quantizedDimension = axis
        if data is not None:
            array = np.ascontiguousarray(np.asarray(data, dtype).reshape(shape))
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(array.tobytes(), np.uint8)
            tensor.buffer = len(self._model.buffers)
            self._model.buffers.append(buffer)
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def scale_of(self, tensor: int) -> float:
        """The scale of a per-tensor quantized tensor."""
        return float(self._graph.tensors[tensor].quantization.scale[0])

    def zero_point_of(self, tensor: int) -> int:
        """The zero point of a per-tensor quantized tensor."""
        return int(self._graph.tensors[tensor].quantization.zeroPoint[0])

    def type_of(self, tensor: int) -> int:
        """The schema's code of a tensor's element type."""
        return int(self._graph.tensors[tensor].type)

    def const(self, data: Any, dtype: Any = np.int32) -> int:
        """Add an unquantized constant tensor, such as axes or paddings; its index."""
        array = np.asarray(data, dtype)
        return self.tensor(array.shape, dtype, data=array)

    def op(
        self,
        code: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: str | None = None,
        *,
        intermediates: Sequence[int] = (),
        version: int = 1,
        custom: str | None = None,
        **fields: Any,
    ) -> None:
        """Add an operator. `options` names its options table, as "Conv2DOptions"; `fields` are set on it. `custom` is
        the name of an operator that the schema does not have."""
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code("CUSTOM" if custom else code, version, custom)
        operator.inputs = list(inputs)
        operator.outputs = list(outputs)
        operator.intermediates = list(intermediates) or None
        if options is not None:
            table = getattr(schema, options + "T")()
            for name, value in fields.items():
                if not hasattr(table, name):
                    raise AttributeError(f"{options} has no field {name}")
                setattr(table, name, value)
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = table
        self._graph.operators.append(operator)

    def _code(self, code: str, version: int, custom: str | None) -> int:
        value = getattr(schema.BuiltinOperator, code)
        for index, existing in enumerate(self._model.operatorCodes):
            if (existing.builtinCode, existing.customCode) == (value, custom):
                return index
        entry = schema.OperatorCodeT()
        entry.builtinCode = value
        entry.deprecatedBuiltinCode = min(value, 127)
        entry.version = version
        entry.customCode = custom
        self._model.operatorCodes.append(entry)
        return len(self._model.operatorCodes) - 1

    def interface(self, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        """Name the current subgraph's inputs and outputs."""
        self._graph.inputs = list(inputs)
        self._graph.outputs = list(outputs)

    def build(self) -> bytes:
        """The model file."""
        builder = flatbuffers.Builder(1024)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
