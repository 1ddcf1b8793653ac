"""Fixed-point requantization: the arithmetic of TFLite Micro and gemmlowp, on numpy arrays.

Every function computes in int64, so that the C kernels' int32 results are reproduced value by value.
Source: gemmlowp fixedpoint.h; TFLite kernels/internal/common.h and quantization_util.cc.
"""

from __future__ import annotations

from math import floor, frexp
from typing import Any

import numpy as np

from thimble.compiler.ir.operator import Array

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1

Int64 = Array
"""What the functions here return: int64 arrays."""


def round_half_away(x: float) -> int:
    """Nearest integer, halves away from zero, as C's round()."""
    return floor(x + 0.5) if x >= 0 else -floor(-x + 0.5)


def quantize_multiplier(real: float) -> tuple[int, int]:
    """(multiplier, shift) with real = multiplier * 2**(shift - 31), multiplier in [2**30, 2**31) or 0.

    Source: QuantizeMultiplier in TFLite kernels/internal/quantization_util.cc; 30 is its largest left shift.
    """
    if real == 0.0:
        return 0, 0
    mantissa, shift = frexp(real)
    multiplier = round_half_away(mantissa * (1 << 31))
    if multiplier == 1 << 31:
        multiplier //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        return INT32_MAX, 30
    return multiplier, shift


def has_multiplier(real: float) -> bool:
    """Whether `real` is a factor that requantization can apply: finite, its left shift at most 30."""
    return abs(real) < (1 << 30) - 0.25


def saturating_rounding_doubling_high_mul(a: Array | int, b: Array | int) -> Int64:
    """High 32 bits of 2*a*b, rounded to nearest with halves away from zero, saturated (gemmlowp fixedpoint.h)."""
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    # C divides towards zero; an arithmetic shift alone would round down.
    high = (nudged + np.where(nudged < 0, (1 << 31) - 1, 0)) >> 31
    return np.asarray(np.minimum(high, INT32_MAX))


def rounding_divide_by_pot(x: Array | int, exponent: Array | int) -> Int64:
    """x / 2**exponent, rounded to nearest with halves away from zero (gemmlowp fixedpoint.h)."""
    x = np.asarray(x, np.int64)
    mask = (np.int64(1) << np.asarray(exponent, np.int64)) - 1
    threshold = (mask >> 1) + (x < 0)
    return np.asarray((x >> exponent) + ((x & mask) > threshold))


def wrap_int32(x: Array) -> Int64:
    """x modulo 2**32 as a signed 32-bit value: what C's int32 left shift leaves on the targets."""
    return ((np.asarray(x, np.int64) + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)


def requantize(x: Array, multiplier: Array | int, shift: Array | int) -> Int64:
    """x * multiplier * 2**(shift-31), rounded twice: TFLite's MultiplyByQuantizedMultiplier on int32 values."""
    shift = np.asarray(shift, np.int64)
    shifted = wrap_int32(np.asarray(x, np.int64) << np.maximum(shift, 0))
    return rounding_divide_by_pot(saturating_rounding_doubling_high_mul(shifted, multiplier), np.maximum(-shift, 0))


def requantize_wide(x: Array, multiplier: Array | int, shift: Array | int) -> Int64:
    """The form for 48-bit accumulators of int16 activations: the multiplier is cut to 16 bits, one rounding.

    Source: MultiplyByQuantizedMultiplier(int64_t, ...) in TFLite kernels/internal/common.cc.
    """
    m = np.asarray(multiplier, np.int64)
    reduced = np.where(m < 0x7FFF0000, (m + (1 << 15)) >> 16, 0x7FFF)
    total = 15 - np.asarray(shift, np.int64)
    return (np.asarray(x, np.int64) * reduced + (np.int64(1) << (total - 1))) >> total


def saturate(x: Array, low: int, high: int, dtype: Any) -> Int64:
    """x clamped to [low, high], as `dtype`."""
    return np.clip(x, low, high).astype(dtype)
