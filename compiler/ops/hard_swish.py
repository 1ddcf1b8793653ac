"""HARD_SWISH: x * relu6(x + 3) / 6."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import input_types, per_tensor, same_input_output_type
from thimble.compiler.ops.fixed_point import INT32_MAX, Int64, has_multiplier, quantize_multiplier
from thimble.compiler.ops.unary import UnaryOperator

_INT16_MIN, _INT16_MAX = -(1 << 15), (1 << 15) - 1


def output_scale_not_finer(site: Site) -> bool:
    """The output scale must be at least 1/128 of the input scale."""
    real = _real_multipliers(site)[0]
    return has_multiplier(real) and quantize_multiplier(real)[1] <= 0


def input_scale_in_range(site: Site) -> bool:
    """The input scale must be below 1.2e7: larger ones leave the fixed-point range."""
    return has_multiplier(_real_multipliers(site)[1])


def _real_multipliers(site: Site) -> tuple[float, float]:
    """Input to output, and input to 3 / 2**15, with 7 bits more; float32 arithmetic as in hard_swish_common.cc."""
    with np.errstate(over="ignore"):
        fine = np.float32(1 / 128) * np.float32(site.input(0).quant.scale)
        return float(fine / np.float32(site.output().quant.scale)), float(fine / np.float32(3 / 32768))


def _output_multiplier(site: Site) -> tuple[int, int]:
    return _narrow(_real_multipliers(site)[0])


def _narrow(real: float) -> tuple[int, int]:
    """The multiplier cut to 16 bits, and its exponent (DownScaleInt32ToInt16Multiplier, TFLite common.h)."""
    multiplier, exponent = quantize_multiplier(real)
    half = 1 << 15
    return (_INT16_MAX if multiplier >= INT32_MAX - half else (multiplier + half) >> 16), exponent


@dataclass(frozen=True, slots=True)
class HardSwish(UnaryOperator):
    """x * relu6(x + 3) / 6, in 16-bit fixed-point arithmetic.

    Source: TFLite's reference/hard_swish.h, step by step.
    """

    name = "hard_swish"
    constraints = (
        input_types(DType.INT8),
        same_input_output_type,
        per_tensor,
        input_scale_in_range,
        output_scale_not_finer,
    )

    def real(self, x: Array) -> Array:
        return np.asarray(x * np.clip(x + 3, 0, 6) * np.float32(1 / 6))

    def compute(self, site: Site, x: Int64) -> Int64:
        to_output, output_exponent = _output_multiplier(site)
        to_gate, gate_exponent = _narrow(_real_multipliers(site)[1])
        fine = (x - site.input(0).quant.zero_point) << 7
        value = _doubling_high_mul(fine, to_output)
        gate = _saturate(fine << max(gate_exponent - 1, 0))
        gate = _doubling_high_mul(gate, to_gate)
        gate = _saturate(gate << 1) if gate_exponent > 0 else _divide_by_pot(gate, -gate_exponent)
        gate = (gate + (1 << 15)) >> 1  # from [-1, 1] to [0, 1]
        product = gate * value
        product = np.where(product < 0, -(-product >> 15), product >> 15)  # towards zero
        result = _divide_by_pot(product, -output_exponent) + site.output().quant.zero_point
        return np.asarray(np.clip(result, -128, 127))


def _saturate(x: Int64) -> Int64:
    return np.clip(x, _INT16_MIN, _INT16_MAX)


def _doubling_high_mul(a: Int64, b: int) -> Int64:
    """High 16 bits of 2 * a * b, rounded to nearest with halves up (gemmlowp's 16-bit form); b is not -2**15."""
    product = a * b
    nudged = product + np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    return np.where(nudged < 0, -(-nudged >> 15), nudged >> 15)


def _divide_by_pot(x: Int64, exponent: int) -> Int64:
    """gemmlowp's rounding division of int16, whose mask and threshold wrap to 16 bits above an exponent of 15."""
    mask = (1 << exponent) - 1 if exponent < 16 else -1
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + ((x & mask) > threshold)
