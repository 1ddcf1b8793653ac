"""Fused activation functions and the integer ranges that they clamp to."""

from __future__ import annotations

from enum import Enum

import numpy as np

from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType, QuantParams
from thimble.compiler.ops.fixed_point import round_half_away


class Activation(Enum):
    """Activation applied to an operator's output before it is stored."""

    NONE = "none"
    RELU = "relu"
    RELU_N1_TO_1 = "relu_n1_to_1"
    RELU6 = "relu6"


BOUNDS: dict[Activation, tuple[float | None, float | None]] = {
    Activation.NONE: (None, None),
    Activation.RELU: (0.0, None),
    Activation.RELU_N1_TO_1: (-1.0, 1.0),
    Activation.RELU6: (0.0, 6.0),
}
"""What real outputs are clamped to; None where there is no bound."""


def quantized_range(activation: Activation, quant: QuantParams, dtype: DType) -> tuple[int, int]:
    """[low, high] of the quantized output under `activation` (CalculateActivationRangeQuantized, kernel_util.cc)."""
    low, high = dtype.range
    bound_low, bound_high = BOUNDS[activation]
    if bound_low is not None:
        low = max(low, quantize_value(bound_low, quant))
    if bound_high is not None:
        high = min(high, quantize_value(bound_high, quant))
    return low, high


def activate(activation: Activation, x: Array) -> Array:
    """`x` clamped as `activation` says, in its own type."""
    low, high = BOUNDS[activation]
    return x if low is None and high is None else np.clip(x, low, high).astype(x.dtype, copy=False)


def bounds_fit(activation: Activation, quant: QuantParams) -> bool:
    """Whether the bounds divided by the scale stay within 32 bits; TFLite Micro refuses the operator otherwise."""
    bounds = [np.float32(bound) for bound in BOUNDS[activation] if bound is not None]
    with np.errstate(over="ignore"):
        return all(abs(bound / np.float32(quant.scale)) <= 1 << 31 for bound in bounds)


def quantize_value(real: float, quant: QuantParams) -> int:
    """zero_point + round(real / scale), the division in float32 as TFLite does."""
    return quant.zero_point + round_half_away(float(np.float32(real) / np.float32(quant.scale)))
