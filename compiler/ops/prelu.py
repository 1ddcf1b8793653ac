"""PRELU: the identity above zero, a factor of its own for each value (usually for each channel) below."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.binary import BinaryOperator, Params, multipliers_in_range, quantized_operands
from thimble.compiler.ops.constraints import input_types, same_input_output_type
from thimble.compiler.ops.fixed_point import Int64, quantize_multiplier, requantize, saturate, wrap_int32


@dataclass(frozen=True, slots=True)
class Prelu(BinaryOperator):
    """x where it is not negative, alpha * x elsewhere; alpha, input 1, is int8 and broadcast."""

    name = "prelu"
    kernel = "prelu"
    constraints = (
        input_types(DType.INT8, DType.INT16),
        input_types(DType.INT8, index=1),
        same_input_output_type,
        quantized_operands,
        multipliers_in_range,
    )

    def real_multipliers(self, site: Site) -> tuple[float, ...]:
        """Those of x, and of alpha * x."""
        source, alpha, target = site.input(0).quant.scale, site.input(1).quant.scale, site.output().quant.scale
        return source / target, source * alpha / target

    def compute(self, site: Site, a: Int64, b: Int64) -> Array:
        positive, negative = map(quantize_multiplier, self.real_multipliers(site))
        x, alpha = a - site.input(0).quant.zero_point, b - site.input(1).quant.zero_point
        scaled = np.where(x >= 0, requantize(x, *positive), requantize(x * alpha, *negative))
        limits = site.output().type.dtype.range
        return saturate(wrap_int32(scaled + site.output().quant.zero_point), *limits, "int64")

    def real(self, a: Array, b: Array) -> Array:
        return np.where(a >= 0, a, a * b)

    def params(self, site: Site) -> Params:
        positive, negative = map(quantize_multiplier, self.real_multipliers(site))
        low, high = site.output().type.dtype.range
        return (
            ("zero_point", site.input(0).quant.zero_point),
            ("alpha_zero_point", site.input(1).quant.zero_point),
            ("positive_multiplier", positive[0]),
            ("positive_shift", positive[1]),
            ("negative_multiplier", negative[0]),
            ("negative_shift", negative[1]),
            ("output_zero_point", site.output().quant.zero_point),
            ("output_min", low),
            ("output_max", high),
        )
