"""RSQRT: 1 / sqrt(x)."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import input_types, per_tensor, same_input_output_type
from thimble.compiler.ops.fixed_point import (
    INT32_MAX,
    Int64,
    quantize_multiplier,
    requantize,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
    wrap_int32,
)
from thimble.compiler.ops.gemmlowp import saturating_shift_left
from thimble.compiler.ops.unary import UnaryOperator

_KEPT_BITS = 20  # bits of the result below the binary point until it is rescaled
_HALF_SQRT_2 = 1518500250


def inverse_square_roots(values: Int64) -> tuple[Int64, Int64]:
    """(multipliers, shifts) of 1 / sqrt(value) for values in [1, 2**29).

    Source: GetInvSqrtQuantizedMultiplierExp in TFLite kernels/internal/common.h; raw values have 3 integer bits.
    """
    product = saturating_rounding_doubling_high_mul
    pairs = (31 - np.frexp(values)[1].astype(np.int64)) // 2 - 1  # pairs of bits that bring the value to [2**27, 2**29)
    shifts = pairs - 11
    half_input = rounding_divide_by_pot((values << (2 * pairs)) >> 1, 1)
    x = np.full(values.shape, 1 << 28, np.int64)
    for _ in range(5):
        cube = saturating_shift_left(product(product(x, x), x), 6)
        x = saturating_shift_left(product((1 << 28) + (1 << 27), x) - product(half_input, cube), 3)
    multipliers = product(x, _HALF_SQRT_2) << np.maximum(shifts, 0)
    is_one = values == 1
    return np.where(is_one, INT32_MAX, multipliers), np.where(is_one, 0, np.minimum(shifts, 0))


def result_fits(site: Site) -> bool:
    """sqrt(input scale) * output scale must lie in [2^-31, 2^10]."""
    return 2.0**-31 <= sqrt(site.input(0).quant.scale) * site.output().quant.scale <= 2.0**10


@dataclass(frozen=True, slots=True)
class Rsqrt(UnaryOperator):
    """1 / sqrt(x); the highest value for an x of 0.

    A negative x has no result: TFLite Micro stops with an error there, this operator gives the highest value.
    """

    name = "rsqrt"
    constraints = (
        input_types(DType.INT8),
        same_input_output_type,
        per_tensor,
        result_fits,
    )

    def real(self, x: Array) -> Array:
        return 1 / np.sqrt(x)

    def compute(self, site: Site, x: Int64) -> Int64:
        value = x - site.input(0).quant.zero_point
        multipliers, shifts = inverse_square_roots(np.maximum(value, 1))
        root = requantize(np.ones_like(value), multipliers, shifts + _KEPT_BITS)
        multiplier, shift = quantize_multiplier(1.0 / (sqrt(site.input(0).quant.scale) * site.output().quant.scale))
        result = requantize(root, multiplier, shift - _KEPT_BITS) + site.output().quant.zero_point
        return np.where(value > 0, np.clip(wrap_int32(result), -128, 127), 127)
