"""RSQRT: 1 / sqrt(x)."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import input_types, per_tensor, same_input_output_type
from thimble.compiler.ops.fixed_point import (
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


def inverse_square_root(value: int) -> tuple[int, int]:
    """(multiplier, shift) of 1 / sqrt(value) for a value in [1, 2**29).

    Source: GetInvSqrtQuantizedMultiplierExp in TFLite kernels/internal/common.h; raw values have 3 integer bits.
    """
    if value <= 1:
        return (1 << 31) - 1, 0
    pairs = (31 - value.bit_length()) // 2 - 1
    shift = 11 - pairs
    half_input = rounding_divide_by_pot((value << (2 * pairs)) >> 1, 1)
    product = saturating_rounding_doubling_high_mul
    x: Int64 = np.asarray(1 << 28)
    for _ in range(5):
        cube = saturating_shift_left(product(product(x, x), x), 6)
        x = saturating_shift_left(product((1 << 28) + (1 << 27), x) - product(half_input, cube), 3)
    multiplier = int(product(x, _HALF_SQRT_2))
    return (multiplier << -shift, 0) if shift < 0 else (multiplier, -shift)


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

    def compute(self, site: Site, x: Int64) -> Int64:
        value = x - site.input(0).quant.zero_point
        return np.where(value > 0, self._results(site)[np.clip(value, 1, 255)], 127)

    def _results(self, site: Site) -> Int64:
        """The output for 0 (unused), 1, ..., 255 steps above the input's zero point."""
        pairs = [inverse_square_root(max(value, 1)) for value in range(256)]
        multipliers = np.array([m for m, _ in pairs], np.int64)
        shifts = np.array([s for _, s in pairs], np.int64)
        root = requantize(np.ones(256, np.int64), multipliers, shifts + _KEPT_BITS)
        scale = 1.0 / (sqrt(site.input(0).quant.scale) * site.output().quant.scale)
        multiplier, shift = quantize_multiplier(scale)
        result = requantize(root, multiplier, shift - _KEPT_BITS) + site.output().quant.zero_point
        return np.clip(wrap_int32(result), -128, 127)
