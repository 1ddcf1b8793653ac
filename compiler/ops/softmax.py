"""SOFTMAX: exponentials along the last dimension, divided by their sum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import isfinite

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Input, KernelCall, Output, Rounding, Shape, Table
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import input_types, output_types, per_tensor
from thimble.compiler.ops.fixed_point import (
    has_multiplier,
    quantize_multiplier,
    requantize,
    rounding_divide_by_pot,
    saturate,
    saturating_rounding_doubling_high_mul,
    wrap_int32,
)
from thimble.compiler.ops.gemmlowp import exp_on_negative_values, one_over_one_plus
from thimble.compiler.ops.row_wise import RowWiseOperator

_DIFFERENCE_BITS = 5  # integer bits of beta * (x - max): exp(-32) no longer counts
_SUM_BITS = 12  # integer bits of the sum of exponentials
_MAX_DEPTH = {DType.INT8: (1 << _SUM_BITS) - 1, DType.INT16: (1 << 16) - 1}
_WIDE_REACH = 10.0  # int16: exp(-10) no longer counts


def one_dimension_or_more(site: Site) -> bool:
    """The input must have at least one dimension, and at least one element along the last one."""
    shape = site.input(0).type.shape
    return len(shape) >= 1 and shape[-1] >= 1


def sum_fits(site: Site) -> bool:
    """The last dimension must have at most 4095 elements (int16: 65535), or the sum of exponentials could overflow."""
    return site.input(0).type.shape[-1] <= _MAX_DEPTH[site.input(0).type.dtype]


def takes_int16_output(site: Site) -> bool:
    """An int16 input needs an int16 output."""
    return site.input(0).type.dtype is DType.INT8 or site.output().type.dtype is DType.INT16


def symmetric_int16_input(site: Site) -> bool:
    """An int16 input must have zero point 0."""
    return site.input(0).type.dtype is DType.INT8 or site.input(0).quant.zero_point == 0


def probability_scale(site: Site) -> bool:
    """The output must hold probabilities: int8 with scale 2^-8 and zero point -128; int16 with scale 2^-16 and zero
    point -32768 for an int8 input, with scale 2^-15 and zero point 0 for an int16 one."""
    quant = site.output().quant
    if site.output().type.dtype is DType.INT8:
        return quant.scale == 1 / 256 and quant.zero_point == -128
    if site.input(0).type.dtype is DType.INT8:
        return abs(quant.scale * 65536 - 1) <= 0.001 and quant.zero_point == -32768
    return abs(quant.scale * 32768 - 1) <= 0.001 and quant.zero_point == 0


def steep_enough(site: Site) -> bool:
    """beta must be a number and beta times the input scale above 2^-26 (int16: at most 163840 in size)."""
    real = _real_multiplier(site)
    return has_multiplier(real) if site.input(0).type.dtype is DType.INT16 else isfinite(real) and real > 1


def _real_multiplier(site: Site) -> float:
    """From input steps to the unit of the argument of exp: 2^-26, or for int16 10 / 65535."""
    op = site.op
    assert isinstance(op, Softmax)
    real = op.beta * site.input(0).quant.scale
    if site.input(0).type.dtype is DType.INT16:
        return real / (_WIDE_REACH / 65535.0)
    return real * (1 << (31 - _DIFFERENCE_BITS))


def exponentials(site: Site) -> Array:
    """exp(-beta * scale * d) for d = 0, 1, ..., 255 steps below the maximum, int32 without integer bits.

    Source: PreprocessSoftmaxScaling and CalculateInputRadius in TFLite kernels/internal/quantization_util.cc.
    """
    multiplier, shift = quantize_multiplier(min(_real_multiplier(site), 2.0**31 - 1))
    radius = ((1 << _DIFFERENCE_BITS) - 1) << (31 - _DIFFERENCE_BITS) >> shift
    steps = np.arange(256)
    reached = np.minimum(steps, radius)
    difference = saturating_rounding_doubling_high_mul(-reached << shift, multiplier)
    result = exp_on_negative_values(difference, _DIFFERENCE_BITS)
    return np.where(steps <= radius, result, 0).astype(np.int32)


def interpolation_table(function: Callable[[Array], Array], low: float, high: float) -> Array:
    """`function` over [low, high] in 512 segments and 15 fractional bits, for interpolation; (513,) int16.

    Each entry is moved by half of the error in the middle of the segment after it. float32 arithmetic, as gen_lut in
    TFLite's kernels/internal/common.h.
    """
    step = np.float32((high - low) / 512)
    starts = np.float32(low) + np.arange(513, dtype=np.float32) * step
    here = np.float32(32768) * function(starts)
    middle = _round(np.float32(32768) * function(starts + step / np.float32(2)))
    following = np.append(here[1:], here[-1:])
    error = _round((following + _round(here)) / np.float32(2)) - middle
    table = _round(here) - _round(error / np.float32(2))
    table[-1] = _round(here)[-1]
    return np.asarray(np.clip(table, -32768, 32767), np.int16)


def _round(x: Array) -> Array:
    """Nearest integer, halves away from zero."""
    return np.asarray(np.trunc(x + np.copysign(np.float32(0.5), x)))


@cache
def wide_tables() -> tuple[Array, Array]:
    """The int16 tables of exp(x) over [-10, 0] and of 1 / (1 + x) over [0, 1]."""
    return (
        interpolation_table(lambda x: np.exp(x.astype(np.float64)).astype(np.float32), -_WIDE_REACH, 0.0),
        interpolation_table(lambda x: np.float32(1) / (np.float32(1) + x), 0.0, 1.0),
    )


def look_up(table: Array, x: Array) -> Array:
    """Interpolated entry of a table for x in [-2**15, 2**15)."""
    index = (x >> 7) + 256
    base, slope = table[index].astype(np.int64), table[index + 1].astype(np.int64) - table[index]
    return np.asarray(base + ((slope * (x & 0x7F) + 64) >> 7))


@dataclass(frozen=True, slots=True)
class Softmax(RowWiseOperator):
    """Input (..., D), output of the same shape: exp(beta * x) / sum(exp(beta * x)) over D."""

    beta: float

    name = "softmax"
    constraints = (
        input_types(DType.INT8, DType.INT16),
        output_types(DType.INT8, DType.INT16),
        takes_int16_output,
        per_tensor,
        one_dimension_or_more,
        sum_fits,
        symmetric_int16_input,
        probability_scale,
        steep_enough,
    )

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        return (site.input(0).type.shape,)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        x = inputs[0].astype(np.int64)
        below = x.max(axis=-1, keepdims=True) - x
        result = self._wide(site, below) if site.input(0).type.dtype is DType.INT16 else self._narrow(site, below)
        return (result.astype(site.output().type.dtype.numpy),)

    def float_reference(self, site: Site, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x = inputs[0]
        with np.errstate(all="ignore"):
            exps = np.exp((x - x.max(axis=-1, keepdims=True)) * np.asarray(self.beta, x.dtype))
            return (exps / exps.sum(axis=-1, keepdims=True),)

    def _narrow(self, site: Site, below: Array) -> Array:
        """int8 input: the output for values that lie `below` their row's maximum."""
        dtype = site.output().type.dtype
        exps = exponentials(site)[below].astype(np.int64)
        total = rounding_divide_by_pot(exps, _SUM_BITS).sum(axis=-1, keepdims=True)
        bits = _bit_length(total)
        reciprocal = one_over_one_plus((total << (32 - bits)) - (1 << 31))
        exponent = _SUM_BITS - (32 - bits) + 31 - 8 * dtype.bytes
        scaled = rounding_divide_by_pot(saturating_rounding_doubling_high_mul(reciprocal, exps), exponent)
        return saturate(scaled + dtype.range[0], *dtype.range, "int64")

    def _wide(self, site: Site, below: Array) -> Array:
        """The same for an int16 input. Source: SoftmaxInt16 in TFLite's reference/softmax.h."""
        exp_table, reciprocal_table = wide_tables()
        scaled = requantize(-below, *quantize_multiplier(_real_multiplier(site)))
        exps = look_up(exp_table, np.clip(wrap_int32(scaled + 32767), -32768, 32767))
        total = exps.sum(axis=-1, keepdims=True)
        bits = _bit_length(total)
        normalized = ((total << (31 - bits)) + (1 << 13)) >> 14
        reciprocal = look_up(reciprocal_table, np.clip(normalized - (1 << 15) - (1 << 16), -32768, 32767))
        return saturate((exps * reciprocal + (1 << (bits - 2))) >> (bits - 1), 0, 32767, "int64")

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        shape = site.input(0).type.shape
        size = (("rows", site.input(0).type.elements // shape[-1]), ("depth", shape[-1]))
        if site.input(0).type.dtype is DType.INT16:
            return (self._lower_wide(site, size),)
        if shape[-1] == 2 and site.output().type.dtype is DType.INT8:
            return (self._lower_pairs(site, size[:1]),)
        # Smaller exponentials count as zero, in the sum and in the outputs, and need no place in the table.
        exps = exponentials(site)
        table = np.trim_zeros(np.where(exps >= 1 << (_SUM_BITS - 1), exps, 0), "b")
        call = KernelCall(
            kernel="softmax_s8" if site.output().type.dtype is DType.INT8 else "softmax_s8_s16",
            params=(*size, ("table_size", len(table))),
            arguments=(Input(0), Table("exponentials", table), Output()),
        )
        return (call,)

    def _lower_pairs(self, site: Site, size: tuple[tuple[str, int], ...]) -> KernelCall:
        """Rows of two: all there is to know of a row is how far its values lie apart."""
        apart = np.stack([np.zeros(256, np.int64), np.arange(256)], axis=1)
        outputs = self._narrow(site, apart).astype(np.int8)
        return KernelCall(
            kernel="softmax_pair_s8", params=size, arguments=(Input(0), Table("outputs", outputs), Output())
        )

    def _lower_wide(self, site: Site, size: tuple[tuple[str, int], ...]) -> KernelCall:
        multiplier, shift = quantize_multiplier(_real_multiplier(site))
        exp_table, reciprocal_table = wide_tables()
        return KernelCall(
            kernel="softmax_s16",
            params=(*size, ("multiplier", multiplier), ("shift", shift)),
            arguments=(
                Input(0),
                Table("exponentials", exp_table),
                Table("reciprocals", reciprocal_table),
                Output(),
            ),
        )


def _bit_length(x: Array) -> Array:
    """Bits of positive integers below 2**53, where frexp is exact."""
    return np.frexp(x.astype(np.float64))[1].astype(np.int64)
