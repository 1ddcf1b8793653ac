"""Element types, quantization parameters and tensor types."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import prod
from typing import Any

import numpy as np

from thimble.compiler.ir.errors import MalformedModel

MAX_RANK = 6
"""Highest tensor rank taken: TFLite Micro's own `RuntimeShape` stops at 6 (runtime_shape.h, kMaxDims)."""

MAX_TENSOR_BYTES = 1 << 26
"""Largest tensor taken, 64 MiB: far above any microcontroller, far below what would exhaust the host."""


class DType(Enum):
    """Element type of a tensor; the value is numpy's name of it.

    INT4 and INT2 are packed: several elements share a byte in memory and in flash, the first in the lowest bits, as in
    TFLite and ONNX files. numpy has no such types: arrays hold one element a byte as int8, within the type's range.
    """

    INT2 = "int2"
    INT4 = "int4"
    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    UINT16 = "uint16"
    UINT32 = "uint32"
    UINT64 = "uint64"
    BOOL = "bool"
    FLOAT32 = "float32"

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """The numpy dtype of arrays that hold such elements: int8 for packed types."""
        return np.dtype(np.int8 if self.is_packed else self.value)

    @property
    def is_packed(self) -> bool:
        """Whether several elements share a byte."""
        return self in _PACKED_BITS

    @property
    def bits(self) -> int:
        """Bits of one element."""
        return _PACKED_BITS.get(self) or 8 * np.dtype(self.value).itemsize

    @property
    def bytes(self) -> int:
        """Bytes of one element; raises ValueError for packed types, whose elements have no byte of their own."""
        if self.is_packed:
            raise ValueError(f"an element of {self.value} takes no whole bytes")
        return self.numpy.itemsize

    @property
    def alignment(self) -> int:
        """Bytes of which addresses must be multiples; 1 for packed types."""
        return 1 if self.is_packed else self.bytes

    def bytes_of(self, count: int) -> int:
        """Bytes of `count` elements in a run that begins at a byte of its own; the last byte may be part full."""
        return -(-count * self.bits // 8)

    @property
    def c_name(self) -> str:
        """The C type by which a tensor is pointed at; BOOL is a byte that holds 0 or 1, packed types are raw bytes."""
        special = {DType.BOOL: "uint8_t", DType.FLOAT32: "float"}
        return "uint8_t" if self.is_packed else special.get(self, f"{self.value}_t")

    @property
    def range(self) -> tuple[int, int]:
        """Smallest and largest value of an integer type."""
        if self is DType.BOOL:
            return 0, 1
        if self.is_packed:
            return -(1 << self.bits - 1), (1 << self.bits - 1) - 1
        info = np.iinfo(self.value)
        return int(info.min), int(info.max)


_PACKED_BITS = {DType.INT2: 2, DType.INT4: 4}


@dataclass(frozen=True, slots=True)
class QuantParams:
    """Affine quantization, real = scale * (q - zero_point): one pair, or one for each slice of `axis`.

    `stored` is the packed type of which a float constant was made when its model was read; None for all else.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0
    stored: DType | None = None

    @property
    def per_tensor(self) -> bool:
        """Whether one scale and zero point hold for the whole tensor."""
        return len(self.scales) == 1

    @property
    def scale(self) -> float:
        """The scale of a per-tensor quantization (an exact float32 value)."""
        return self.scales[0]

    @property
    def zero_point(self) -> int:
        """The zero point of a per-tensor quantization."""
        return self.zero_points[0]


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape, element type and quantization of a tensor.

    In memory, each run along the last dimension (a pixel's channels) begins at a byte of its own: packed types leave
    the last bits of its last byte 0 where channels do not fill it. Pixels, columns and rows are thus whole bytes in
    every type. Constant weights are stored denser than that: ops/packed_weights.py.
    """

    shape: tuple[int, ...]
    dtype: DType
    quant: QuantParams | None = None

    @property
    def elements(self) -> int:
        """Number of elements; 1 for a scalar."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes of the whole tensor, in memory."""
        return prod(self.shape[:-1]) * self.pixel_bytes

    @property
    def pixel_bytes(self) -> int:
        """Bytes of a run along the last dimension: a pixel's channels."""
        return self.dtype.bytes_of(self.shape[-1] if self.shape else 1)

    @property
    def rows(self) -> int:
        """Rows of the tensor: all dimensions but the last two; 1 below rank 3."""
        return prod(self.shape[:-2]) if len(self.shape) > 2 else 1

    @property
    def columns(self) -> int:
        """Columns of a row: the last dimension but one, such as the pixels of an image row; 1 below rank 3."""
        return self.shape[-2] if len(self.shape) > 2 else 1

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.bytes // max(self.rows, 1)

    def first_bytes(self, elements: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Where each of these elements, by their number in the tensor, begins: in bytes from the tensor's start."""
        if not self.dtype.is_packed:
            return elements * self.dtype.bytes
        channels = self.shape[-1] if self.shape else 1
        return np.asarray(elements // channels * self.pixel_bytes + elements % channels * self.dtype.bits // 8)

    def first_elements(self, bytes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The first element, by its number in the tensor, that each of these bytes holds a part of."""
        if not self.dtype.is_packed:
            return bytes // self.dtype.bytes
        channels = self.shape[-1] if self.shape else 1
        return np.asarray(bytes // self.pixel_bytes * channels + bytes % self.pixel_bytes * (8 // self.dtype.bits))

    def check_size(self, where: str) -> None:
        """Raise MalformedModel if rank or size is beyond what any target could hold; `where` names the tensor."""
        if len(self.shape) > MAX_RANK:
            raise MalformedModel(f"{where} has rank {len(self.shape)}; at most {MAX_RANK} dimensions are possible.")
        if any(dim < 0 for dim in self.shape):
            raise MalformedModel(f"{where} has a negative dimension in its shape {self.shape}.")
        size = max(self.bytes, self.elements)  # numpy unpacks
        if size > MAX_TENSOR_BYTES:
            raise MalformedModel(f"{where} of shape {self.shape} would take {size} bytes, over {MAX_TENSOR_BYTES}.")

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.shape))}) {self.dtype.value}"
