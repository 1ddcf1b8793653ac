"""Constraints that the element-wise operators of two inputs share."""

from __future__ import annotations

from thimble.compiler.ir.graph import Site, Value
from thimble.compiler.ir.types import DType

_QUANTIZED = (DType.INT8, DType.INT16)


def quantized_operands(site: Site) -> bool:
    """int8 and int16 tensors must be quantized with one positive scale and a zero point in range."""
    return all(_is_per_tensor(value) for value in _operands(site) if value.type.dtype in _QUANTIZED)


def int32_unquantized(site: Site) -> bool:
    """int32 tensors must carry no quantization parameters."""
    return all(value.type.quant is None for value in _operands(site) if value.type.dtype is DType.INT32)


def _operands(site: Site) -> list[Value]:
    return [value for value in (*site.inputs[:2], *site.outputs) if value is not None]


def _is_per_tensor(value: Value) -> bool:
    quant = value.type.quant
    if quant is None or not quant.per_tensor or quant.scale <= 0:
        return False
    low, high = value.type.dtype.range
    return low <= quant.zero_point <= high
