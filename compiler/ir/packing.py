"""Elements of fewer than 8 bits as the bytes that hold them, and back."""

from __future__ import annotations

from math import prod

import numpy as np

from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType, TensorType


def pack(values: Array, dtype: DType) -> Array:
    """int8 values (..., n) of a packed type as uint8 (..., bytes of n elements): the first in the lowest bits.

    Bits behind the last element of a run are 0. Raises ValueError where a value is out of the type's range.
    """
    low, high = dtype.range
    if values.size and not (low <= values.min() and values.max() <= high):
        raise ValueError(f"values beyond {low} to {high} are no {dtype.value}")
    per_byte = 8 // dtype.bits
    runs = values.reshape(*values.shape[:-1], -1)
    filled = np.zeros((*runs.shape[:-1], dtype.bytes_of(runs.shape[-1]) * per_byte), np.uint8)
    filled[..., : runs.shape[-1]] = runs.astype(np.uint8) & ((1 << dtype.bits) - 1)
    parts = filled.reshape(*runs.shape[:-1], -1, per_byte) << (np.arange(per_byte, dtype=np.uint8) * dtype.bits)
    return np.asarray(np.bitwise_or.reduce(parts, axis=-1), np.uint8)


def unpack(packed: Array, count: int, dtype: DType) -> Array:
    """The int8 values (..., count) that uint8 (..., bytes of count elements) hold."""
    per_byte = 8 // dtype.bits
    parts = packed[..., None] >> (np.arange(per_byte, dtype=np.uint8) * dtype.bits)
    unsigned = parts.reshape(*packed.shape[:-1], -1)[..., :count] & ((1 << dtype.bits) - 1)
    sign = 1 << dtype.bits - 1
    return np.asarray((unsigned.astype(np.int16) ^ sign) - sign, np.int8)


def to_bytes(array: Array, dtype: DType) -> bytes:
    """A tensor's array as its bytes in memory (TensorType)."""
    return (pack(array, dtype) if dtype.is_packed else array).tobytes()


def from_bytes(raw: bytes, type: TensorType, offset: int = 0) -> Array:
    """The array of a tensor whose bytes in memory begin at `offset`."""
    if not type.dtype.is_packed:
        return np.frombuffer(raw, type.dtype.numpy, type.elements, offset).reshape(type.shape)
    rows = np.frombuffer(raw, np.uint8, type.bytes, offset).reshape(prod(type.shape[:-1]), type.pixel_bytes)
    return unpack(rows, type.shape[-1] if type.shape else 1, type.dtype).reshape(type.shape)
