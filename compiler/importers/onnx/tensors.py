"""Tensors of an ONNX file as numpy arrays: every size is checked before anything is allocated."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np
from onnx import TensorProto

from thimble.compiler.ir.errors import MalformedModel, UnsupportedOp, listed, quoted
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import MAX_RANK, MAX_TENSOR_BYTES, DType

ROUNDED_FLOATS = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
"""Narrow floats: read as float32, which holds all their values; computed in float32 too."""

NARROW_INTEGERS: dict[int, tuple[DType, int]] = {
    TensorProto.INT4: (DType.INT8, 4),
    TensorProto.UINT4: (DType.UINT8, 4),
    TensorProto.INT2: (DType.INT8, 2),
    TensorProto.UINT2: (DType.UINT8, 2),
}
"""Types of fewer than 8 bits, which are packed in files: the type that holds them here, and their bits."""

PACKED_TYPES = {4: DType.INT4, 2: DType.INT2}
"""What values of so few bits are where they are quantized: unsigned ones are half of their range less."""

DTYPES: dict[int, DType] = {
    TensorProto.FLOAT: DType.FLOAT32,
    TensorProto.DOUBLE: DType.FLOAT32,
    TensorProto.FLOAT16: DType.FLOAT32,
    TensorProto.BFLOAT16: DType.FLOAT32,
    TensorProto.INT8: DType.INT8,
    TensorProto.INT16: DType.INT16,
    TensorProto.INT32: DType.INT32,
    TensorProto.INT64: DType.INT64,
    TensorProto.UINT8: DType.UINT8,
    TensorProto.UINT16: DType.UINT16,
    TensorProto.UINT32: DType.UINT32,
    TensorProto.UINT64: DType.UINT64,
    TensorProto.BOOL: DType.BOOL,
    **{code: dtype for code, (dtype, _) in NARROW_INTEGERS.items()},
}

_STORED: dict[int, tuple[str, str]] = {
    TensorProto.FLOAT: ("<f4", "float_data"),
    TensorProto.DOUBLE: ("<f8", "double_data"),
    TensorProto.FLOAT16: ("<f2", "int32_data"),
    TensorProto.BFLOAT16: ("<u2", "int32_data"),
    TensorProto.INT8: ("<i1", "int32_data"),
    TensorProto.INT16: ("<i2", "int32_data"),
    TensorProto.INT32: ("<i4", "int32_data"),
    TensorProto.INT64: ("<i8", "int64_data"),
    TensorProto.UINT8: ("<u1", "int32_data"),
    TensorProto.UINT16: ("<u2", "int32_data"),
    TensorProto.UINT32: ("<u4", "uint64_data"),
    TensorProto.UINT64: ("<u8", "uint64_data"),
    TensorProto.BOOL: ("<u1", "int32_data"),
}
"""The numpy type of each element type in raw_data, and the field that holds it otherwise (onnx.proto, TensorProto)."""


def type_name(code: int) -> str:
    """The name of an element type code."""
    try:
        return str(TensorProto.DataType.Name(code))
    except ValueError:
        return f"code {code}"


def dtype_of(code: int, where: str) -> DType:
    """The DType of an element type code; raises UnsupportedOp where there is none."""
    if code not in DTYPES:
        raise UnsupportedOp(f"{where} has type {type_name(code)}, which is not supported.")
    return DTYPES[code]


def checked_shape(dims: tuple[int, ...], element_bytes: int, where: str) -> tuple[int, ...]:
    """`dims`, where such a tensor can be; raises MalformedModel or UnsupportedOp."""
    if any(dim < 0 for dim in dims):
        raise MalformedModel(f"{where} has a negative dimension in its shape {listed(dims)}.")
    if len(dims) > MAX_RANK:
        raise UnsupportedOp(f"{where} has {len(dims)} dimensions; at most {MAX_RANK} are supported.")
    if prod(dims) * element_bytes > MAX_TENSOR_BYTES:
        raise MalformedModel(f"{where} of shape {listed(dims)} would take more than {MAX_TENSOR_BYTES} bytes.")
    return dims


def tensor_array(tensor: TensorProto, folder: Path | None, where: str = "") -> Array:
    """The contents of a tensor, all floats as float32; `folder` is where external data may lie.

    Raises MalformedModel where the data does not fit the shape, UnsupportedOp for types that are not supported.
    """
    where = where or f"Tensor {quoted(tensor.name)}"
    dtype = dtype_of(tensor.data_type, where)
    if tensor.HasField("segment"):
        raise UnsupportedOp(f"{where} is stored in segments, which is not supported.")
    if tensor.data_type in NARROW_INTEGERS:
        return _unpacked(tensor, folder, where)
    stored, field = _STORED[tensor.data_type]
    kind = np.dtype(stored)
    shape = checked_shape(tuple(tensor.dims), kind.itemsize, where)
    count = prod(shape)
    if tensor.data_location == TensorProto.EXTERNAL:
        raw: bytes | None = _external_data(tensor, folder, count * kind.itemsize, where)
    else:
        raw = tensor.raw_data if tensor.HasField("raw_data") else None
    if raw is None:
        array = _from_field(getattr(tensor, field), kind, where)
    elif len(raw) != count * kind.itemsize:
        raise MalformedModel(f"{where} of shape {listed(shape)} holds {len(raw)} bytes, not {count * kind.itemsize}.")
    else:
        array = np.frombuffer(raw, kind)
    if array.size != count:
        raise MalformedModel(f"{where} of shape {listed(shape)} holds {array.size} elements, not {count}.")
    return _decoded(array, tensor.data_type, dtype).reshape(shape)


def _unpacked(tensor: TensorProto, folder: Path | None, where: str) -> Array:
    """A tensor of 2 or 4 bits an element, the first one in the lowest bits of a byte."""
    dtype, bits = NARROW_INTEGERS[tensor.data_type]
    shape = checked_shape(tuple(tensor.dims), 1, where)
    each = 8 // bits
    size = -(-prod(shape) // each)
    if tensor.data_location == TensorProto.EXTERNAL:
        raw = np.frombuffer(_external_data(tensor, folder, size, where), np.uint8)
    elif tensor.HasField("raw_data"):
        raw = np.frombuffer(tensor.raw_data, np.uint8)
    else:
        raw = np.asarray(tensor.int32_data, np.int64).astype(np.uint8)
    if raw.size != size:
        raise MalformedModel(f"{where} of shape {listed(shape)} needs {size} bytes, but holds {raw.size}.")
    parts = (raw[:, None] >> (np.arange(each, dtype=np.uint8) * bits)) & ((1 << bits) - 1)
    values = parts.reshape(-1)[: prod(shape)].astype(np.int16)
    if dtype is DType.INT8:
        values = values - ((values >> (bits - 1)) << bits)
    return values.astype(dtype.numpy).reshape(shape)


def _from_field(values: object, kind: np.dtype[np.generic], where: str) -> Array:
    """A repeated field as an array of `kind`; int32_data holds the bits of 16-bit floats."""
    bits = np.dtype("<u2") if kind == np.dtype("<f2") else kind
    wide = np.asarray(values, np.float64 if bits.kind == "f" else None)
    if bits.kind != "f" and wide.size:
        info = np.iinfo(bits.name)
        low, high = int(info.min), int(info.max)
        if int(wide.min()) < low or int(wide.max()) > high:
            raise MalformedModel(f"{where} holds a number that its type does not.")
    with np.errstate(over="ignore"):
        return wide.astype(bits).view(kind)


def _decoded(array: Array, code: int, dtype: DType) -> Array:
    if code == TensorProto.BFLOAT16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):
        return np.asarray(array != 0) if dtype is DType.BOOL else array.astype(dtype.numpy)


def _external_data(tensor: TensorProto, folder: Path | None, expected: int, where: str) -> bytes:
    """The bytes of a tensor that lies in another file of the model's folder, or below it."""
    fields: dict[str, str] = {entry.key: entry.value for entry in tensor.external_data}
    location = fields.get("location", "")
    if folder is None:
        raise UnsupportedOp(f"{where} lies in another file, but the model was not read from a folder.")
    root = folder.resolve()
    try:
        path = (root / location).resolve()
        inside = path.is_relative_to(root) and path.is_file() and not Path(location).is_absolute()
        size = path.stat().st_size if inside else 0
    except (OSError, ValueError) as error:
        raise MalformedModel(f"{where} names the impossible file {quoted(location)}.") from error
    if not location or not inside:
        raise MalformedModel(f"{where} lies in {quoted(location)}, which is no file in the model's folder.")
    offset, length = _number(fields.get("offset", "0"), where), _number(fields.get("length", str(expected)), where)
    if length != expected or offset + length > size:
        raise MalformedModel(f"{where} needs {expected} bytes of {quoted(location)} that are not there.")
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(expected)


def _number(text: str, where: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise MalformedModel(f"{where} has the offset or length {quoted(text)}, which is no number.")
    return int(text)


def embed(tensor: TensorProto, folder: Path) -> None:
    """Take external data into the tensor itself."""
    where = f"Tensor {quoted(tensor.name)}"
    dtype_of(tensor.data_type, where)
    if tensor.data_type in NARROW_INTEGERS:
        size = -(-prod(checked_shape(tuple(tensor.dims), 1, where)) * NARROW_INTEGERS[tensor.data_type][1] // 8)
    else:
        each = np.dtype(_STORED[tensor.data_type][0]).itemsize
        size = prod(checked_shape(tuple(tensor.dims), each, where)) * each
    raw = _external_data(tensor, folder, size, where)
    tensor.data_location = TensorProto.DEFAULT
    del tensor.external_data[:]
    tensor.raw_data = raw
