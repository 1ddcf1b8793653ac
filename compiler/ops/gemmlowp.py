"""gemmlowp's fixed-point exponential and reciprocal on int64 arrays that hold 32-bit raw values.

A raw value r with n integer bits stands for r * 2**(n - 31). Source: gemmlowp fixedpoint/fixedpoint.h.
"""

from __future__ import annotations

import numpy as np

from thimble.compiler.ir.operator import Array
from thimble.compiler.ops.fixed_point import (
    INT32_MAX,
    INT32_MIN,
    Int64,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)

_EXP_MINUS_EIGHTH = 1895147668
_ONE_THIRD = 715827883
_EXP_MINUS_POWERS = {
    -2: 1672461947,
    -1: 1302514674,
    0: 790015084,
    1: 290630308,
    2: 39332535,
    3: 720401,
    4: 242,
}
"""exp(-2**k) with 0 integer bits."""
_48_OVER_17 = 1515870810
_MINUS_32_OVER_17 = -1010580540


def saturating_shift_left(x: Array, bits: int) -> Int64:
    """x * 2**bits, saturated to 32 bits."""
    return np.asarray(np.clip(np.asarray(x, np.int64) << bits, INT32_MIN, INT32_MAX))


def exp_on_negative_values(a: Array, integer_bits: int) -> Int64:
    """exp(a) for a <= 0 with `integer_bits` integer bits; the result has none.

    The fraction below a quarter goes through a polynomial, each bit above it through one multiplication.
    """
    a = np.asarray(a, np.int64)
    fractional_bits = 31 - integer_bits
    quarter = 1 << (fractional_bits - 2)
    fraction = (a & (quarter - 1)) - quarter
    result = _exp_above_minus_quarter(saturating_shift_left(fraction, integer_bits))
    remainder = fraction - a
    for power, factor in _EXP_MINUS_POWERS.items():
        if integer_bits > power:
            bit = (remainder >> (fractional_bits + power)) & 1
            result = np.where(bit, saturating_rounding_doubling_high_mul(result, factor), result)
    if integer_bits > 5:
        result = np.where(a < -(1 << (36 - integer_bits)), 0, result)
    return np.where(a == 0, INT32_MAX, result)


def _exp_above_minus_quarter(a: Array) -> Int64:
    """exp(a) for a in [-1/4, 0), no integer bits: four Taylor terms around -1/8."""
    x = np.asarray(a, np.int64) + (1 << 28)
    x2 = saturating_rounding_doubling_high_mul(x, x)
    x3 = saturating_rounding_doubling_high_mul(x2, x)
    x4 = saturating_rounding_doubling_high_mul(x2, x2)
    thirds = saturating_rounding_doubling_high_mul(rounding_divide_by_pot(x4, 2) + x3, _ONE_THIRD)
    series = x + rounding_divide_by_pot(thirds + x2, 1)
    return _EXP_MINUS_EIGHTH + saturating_rounding_doubling_high_mul(_EXP_MINUS_EIGHTH, series)


def one_over_one_plus(a: Array) -> Int64:
    """1 / (1 + a) for a in [0, 1], no integer bits."""
    return saturating_shift_left(_two_over_one_plus(a), 1)


def one_minus_over_one_plus(a: Array) -> Int64:
    """(1 - a) / (1 + a) for a in [0, 1], no integer bits."""
    return saturating_shift_left(_two_over_one_plus(a) - (1 << 29), 2)


def _two_over_one_plus(a: Array) -> Int64:
    """2 / (1 + a), with 2 integer bits: three Newton-Raphson steps."""
    half = (np.asarray(a, np.int64) + INT32_MAX + 1) >> 1
    x = _48_OVER_17 + saturating_rounding_doubling_high_mul(half, _MINUS_32_OVER_17)
    for _ in range(3):
        error = (1 << 29) - saturating_rounding_doubling_high_mul(half, x)
        x = x + saturating_shift_left(saturating_rounding_doubling_high_mul(x, error), 2)
    return x
