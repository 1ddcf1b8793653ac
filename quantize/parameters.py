"""What quantization decides: scale and zero point of every value, integers and scales of every weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType, QuantParams
from thimble.quantize.observers import Range

UNIT = 1.0 / 255
"""The scale of a tensor that calibration found to be 0 throughout: any would do."""


def levels(dtype: DType) -> int:
    """How many steps the integers of a type give to a range: 256 for int8; 65535 for int16, which is symmetric."""
    return 256 if dtype is DType.INT8 else 65535


def affine(covered: Range, dtype: DType, symmetric: bool = False) -> QuantParams:
    """Scale and zero point of `dtype` that cover a range and hold 0 exactly; int16 has the zero point 0.

    The scale is a float32, as model files store it. Source: TFLite's 8-bit quantization specification.
    """
    wide = covered.with_zero
    low, high = dtype.range
    if dtype is not DType.INT8 or symmetric:
        size = max(-wide.low, wide.high) / high
        return QuantParams((float(np.float32(size if size > 0 else UNIT)),), (0,))
    scale = (wide.high - wide.low) / (high - low)
    if not scale > np.finfo(np.float32).tiny:
        return QuantParams((float(np.float32(UNIT)),), (low,))
    zero_point = round(low - wide.low / scale)
    return QuantParams((float(np.float32(scale)),), (min(max(zero_point, low), high),))


def covered(quant: QuantParams, dtype: DType) -> Range:
    """The real numbers that integers of `dtype` stand for."""
    low, high = dtype.range
    return Range((low - quant.zero_point) * quant.scale, (high - quant.zero_point) * quant.scale)


def store(real: Array, quant: QuantParams, dtype: DType) -> Array:
    """Real numbers as integers of `dtype`, nearest and saturated."""
    low, high = dtype.range
    return np.asarray(np.clip(np.rint(real / quant.scale) + quant.zero_point, low, high), dtype.numpy)


@dataclass(frozen=True, slots=True, eq=False)
class QuantizedWeights:
    """Weights in their operator's layout, a float32 scale for each output channel, and the int32 bias or None.

    `data` is an int8 array, whose values lie within `dtype`: INT8, INT4 or INT2.
    """

    data: Array
    scales: Array
    bias: Array | None
    dtype: DType = DType.INT8


@dataclass(frozen=True, slots=True)
class Parameters:
    """`values` by index in the float graph, `weights` by position of the node; `wide` lists the int16 nodes."""

    values: Mapping[int, QuantParams]
    weights: Mapping[int, QuantizedWeights]
    wide: frozenset[int] = field(default_factory=frozenset)
