"""SOFTMAX: exponentials along the last dimension, divided by their sum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Input, KernelCall, Operator, Output, Rounding, Shape, Table
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import input_types, output_types, per_tensor
from thimble.compiler.ops.fixed_point import (
    quantize_multiplier,
    rounding_divide_by_pot,
    saturate,
    saturating_rounding_doubling_high_mul,
)
from thimble.compiler.ops.gemmlowp import exp_on_negative_values, one_over_one_plus

_DIFFERENCE_BITS = 5  # integer bits of beta * (x - max): exp(-32) no longer counts
_SUM_BITS = 12  # integer bits of the sum of exponentials
_MAX_DEPTH = (1 << _SUM_BITS) - 1


def one_dimension_or_more(site: Site) -> bool:
    """The input must have at least one dimension, and at least one element along the last one."""
    shape = site.input(0).type.shape
    return len(shape) >= 1 and shape[-1] >= 1


def sum_fits(site: Site) -> bool:
    """The last dimension must have at most 4095 elements: the sum of exponentials has 12 integer bits."""
    return site.input(0).type.shape[-1] <= _MAX_DEPTH


def probability_scale(site: Site) -> bool:
    """The output must have scale 1/256 and zero point -128 (int16: scale 1/65536 and zero point -32768)."""
    quant = site.output().quant
    if site.output().type.dtype is DType.INT8:
        return quant.scale == 1 / 256 and quant.zero_point == -128
    return abs(quant.scale * 65536 - 1) <= 0.001 and quant.zero_point == -32768


def steep_enough(site: Site) -> bool:
    """beta times the input scale must be above 2^-26: TFLite Micro takes no smaller one."""
    real = _real_multiplier(site)
    return isfinite(real) and real > 1


def _real_multiplier(site: Site) -> float:
    op = site.op
    assert isinstance(op, Softmax)
    return op.beta * site.input(0).quant.scale * (1 << (31 - _DIFFERENCE_BITS))


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


@dataclass(frozen=True, slots=True)
class Softmax(Operator):
    """Input (..., D), output of the same shape: exp(beta * x) / sum(exp(beta * x)) over D."""

    beta: float

    name = "softmax"
    constraints = (
        input_types(DType.INT8),
        output_types(DType.INT8, DType.INT16),
        per_tensor,
        one_dimension_or_more,
        sum_fits,
        probability_scale,
        steep_enough,
    )

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        return (site.input(0).type.shape,)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        x = inputs[0].astype(np.int64)
        dtype = site.output().type.dtype
        low, high = dtype.range
        exps = exponentials(site)[x.max(axis=-1, keepdims=True) - x].astype(np.int64)
        total = rounding_divide_by_pot(exps, _SUM_BITS).sum(axis=-1, keepdims=True)
        # 32 - bits leading zeros normalize the sum to [1, 2); frexp is exact below 2**53.
        bits = np.frexp(total.astype(np.float64))[1].astype(np.int64)
        reciprocal = one_over_one_plus((total << (32 - bits)) - (1 << 31))
        exponent = _SUM_BITS - (32 - bits) + 31 - 8 * dtype.bytes
        scaled = rounding_divide_by_pot(saturating_rounding_doubling_high_mul(reciprocal, exps), exponent)
        return (saturate(scaled + low, low, high, dtype.numpy),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        shape = site.input(0).type.shape
        # Steps whose exponential is zero need no place in the table.
        table = np.trim_zeros(exponentials(site), "b")
        call = KernelCall(
            kernel="softmax_s8" if site.output().type.dtype is DType.INT8 else "softmax_s8_s16",
            params=(
                ("rows", site.input(0).type.elements // shape[-1]),
                ("depth", shape[-1]),
                ("table_size", len(table)),
            ),
            arguments=(Input(0), Table("exponentials", table), Output()),
        )
        return (call,)
