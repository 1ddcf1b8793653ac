"""LOGISTIC and TANH: gemmlowp's fixed-point functions on int8, an interpolated table of 256 entries on int16."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from math import frexp, log2
from typing import ClassVar

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Constraint, Input, KernelCall, Output, Table
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import input_types, per_tensor, same_input_output_type, symmetric_int16
from thimble.compiler.ops.fixed_point import INT32_MAX, Int64, requantize, rounding_divide_by_pot
from thimble.compiler.ops.gemmlowp import exp_on_negative_values, one_minus_over_one_plus, one_over_one_plus
from thimble.compiler.ops.unary import UnaryOperator

_INPUT_BITS = 4  # integer bits of the int8 functions' argument
_LARGEST_MULTIPLIER = 32767


def _sigmoid_table() -> Array:
    """sigmoid(i / 24) * 2**16 - 2**15 for i = 0 ... 255: the half above 1/2, so that it fits int16.

    Each entry is moved by half of the error that interpolation makes in the middle of the segment after it; the last
    one is the limit. With that the entries are those of TFLite's sigmoid_table_uint16 (kernels/internal/common.h).
    """
    steps = np.arange(256)
    here, middle, following = (65536 / (1 + np.exp(-(steps + d) / 24)) for d in (0, 0.5, 1))
    table = np.rint(here - ((here + following) / 2 - middle) / 2) - 32768
    table[-1] = 32767
    return table.astype(np.int16)


SIGMOID_TABLE = _sigmoid_table()


def logistic_q15(x: Int64) -> Int64:
    """sigmoid(x / (3 * 2**12)) * 2**15 (reference/integer_ops/logistic.h)."""
    size = np.abs(x)
    index = np.minimum(size >> 9, 254)
    base, step = _sigmoid_entry(index)
    result = np.where(size >> 9 >= 255, 0x7FFF << 10, (base << 9) + (size & 0x1FF) * step)
    return np.where(x >= 0, result + (1 << 9), (1 << 25) - result + (1 << 9) - 1) >> 10


def tanh_q15(x: Int64) -> Int64:
    """tanh(x / (3 * 2**12)) * 2**15, as 2 * sigmoid(2 * x) - 1 (reference/integer_ops/tanh.h)."""
    size = np.abs(x)
    index = np.minimum(size >> 8, 254)
    base, step = _sigmoid_entry(index)
    result = np.where(size >> 8 >= 255, 0xFFFF << 8, (base << 8) + (size & 0xFF) * step)
    return np.where(x >= 0, result - (1 << 23) + (1 << 7), (1 << 23) - result + (1 << 7) - 1) >> 8


def _sigmoid_entry(index: Int64) -> tuple[Int64, Int64]:
    table = SIGMOID_TABLE.astype(np.int64)
    return table[index] + 32768, table[index + 1] - table[index]


def output_at_int16_scale(site: Site) -> bool:
    """An int16 output must have the scale 2^-15."""
    scale = site.output().quant.scale
    return site.output().type.dtype is not DType.INT16 or (scale > 0 and abs(log2(scale) + 15) < 1e-3)


def input_scale_in_range(site: Site) -> bool:
    """The input scale must lie in [2^-28, 2^34], for int16 in [2^-44, 2.66]: others leave the fixed-point range."""
    scale = site.input(0).quant.scale
    if site.input(0).type.dtype is DType.INT16:
        return scale >= 2.0**-44 and scale * 4096.0 * 3.0 <= _LARGEST_MULTIPLIER
    return 2.0**-28 <= scale <= 2.0**34


@dataclass(frozen=True, slots=True)
class Sigmoid(UnaryOperator):
    """What LOGISTIC and TANH share: the range of the input, and its scaling."""

    power_of_two_shifts: ClassVar[tuple[int, ...]]
    constraints: ClassVar[tuple[Constraint, ...]] = (
        input_types(DType.INT8, DType.INT16),
        same_input_output_type,
        per_tensor,
        symmetric_int16,
        input_scale_in_range,
        output_at_int16_scale,
    )

    @abstractmethod
    def fixed_point(self, x: Int64) -> Int64:
        """The int8 result of an argument with 4 integer bits, before it saturates."""

    @abstractmethod
    def interpolate(self, x: Int64) -> Int64:
        """The int16 result of an argument in units of 1 / (3 * 2**12)."""

    def compute(self, site: Site, x: Int64) -> Int64:
        if site.input(0).type.dtype is DType.INT16:
            multiplier, shift = self.wide_scaling(site)
            return self.interpolate((x * multiplier + ((1 << shift) >> 1)) >> shift)
        mantissa, shift = frexp(site.input(0).quant.scale * (1 << (31 - _INPUT_BITS)))
        radius = (((1 << _INPUT_BITS) - 1) << (31 - _INPUT_BITS)) >> shift
        value = x - site.input(0).quant.zero_point
        inside = np.clip(value, 1 - radius, radius - 1) if radius > 0 else np.zeros_like(value)
        argument = requantize(inside, int(mantissa * (1 << 31)), shift)
        result = np.clip(self.fixed_point(argument), -128, 127)
        return np.where(value <= -radius, -128, np.where(value >= radius, 127, result))

    def wide_scaling(self, site: Site) -> tuple[int, int]:
        """Multiplier and right shift from the int16 input to units of 1 / (3 * 2**12).

        Scales within 0.07% of some powers of two count as them. Source: kernels/tanh.cc and logistic_common.cc.
        """
        scale = site.input(0).quant.scale
        exponent = round(log2(scale))
        if abs(log2(scale) - exponent) < 1e-3 and 12 + exponent in self.power_of_two_shifts:
            return 3 << (12 + exponent), 0
        multiplier, shift = scale * 4096.0 * 3.0, 0
        while multiplier <= _LARGEST_MULTIPLIER / 2 and shift <= 30:
            multiplier, shift = multiplier * 2, shift + 1
        return int(multiplier), shift

    def lower_wide(self, site: Site) -> KernelCall:
        multiplier, shift = self.wide_scaling(site)
        return KernelCall(
            kernel=f"{self.name}_s16",
            params=(("size", site.input(0).type.elements), ("multiplier", multiplier), ("shift", shift)),
            arguments=(Input(0), Table("sigmoid", SIGMOID_TABLE), Output()),
        )


def lowest_output_zero_point(site: Site) -> bool:
    """An int8 output must have the zero point -128."""
    return site.output().type.dtype is not DType.INT8 or site.output().quant.zero_point == -128


@dataclass(frozen=True, slots=True)
class Logistic(Sigmoid):
    """1 / (1 + exp(-x)); the int8 output stands for steps of 1/256 above its zero point."""

    name = "logistic"
    power_of_two_shifts = (0,)
    constraints = (*Sigmoid.constraints, lowest_output_zero_point)

    def real(self, x: Array) -> Array:
        return 1 / (1 + np.exp(-x))

    def fixed_point(self, x: Int64) -> Int64:
        positive = one_over_one_plus(exp_on_negative_values(-np.abs(x), _INPUT_BITS))
        result = np.where(x > 0, positive, INT32_MAX - positive)
        return rounding_divide_by_pot(np.where(x == 0, 1 << 30, result), 31 - 8) - 128

    def interpolate(self, x: Int64) -> Int64:
        return logistic_q15(x)


@dataclass(frozen=True, slots=True)
class Tanh(Sigmoid):
    """Hyperbolic tangent; the int8 output stands for steps of 1/128 around 0, whatever its zero point says."""

    name = "tanh"
    power_of_two_shifts = (0, 1)

    def real(self, x: Array) -> Array:
        return np.tanh(x)

    def fixed_point(self, x: Int64) -> Int64:
        # The argument read with one more integer bit is twice itself.
        size = one_minus_over_one_plus(exp_on_negative_values(-np.abs(x), _INPUT_BITS + 1))
        return rounding_divide_by_pot(np.where(x == 0, 0, np.where(x > 0, size, -size)), 31 - 7)

    def interpolate(self, x: Int64) -> Int64:
        return tanh_q15(x)
