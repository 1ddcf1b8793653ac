"""SQUARED_DIFFERENCE: (input 0 - input 1)^2 with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.binary import (
    BinaryOperator,
    Params,
    int32_unquantized,
    multipliers_in_range,
    output_params,
    quantized_operands,
    rescale_to,
    symmetric_operands,
    twice_larger_scale,
)
from thimble.compiler.ops.constraints import input_types, same_types
from thimble.compiler.ops.fixed_point import Int64, quantize_multiplier, requantize, saturate, wrap_int32


@dataclass(frozen=True, slots=True)
class SquaredDifference(BinaryOperator):
    """(input 0 - input 1)^2, broadcast to each other.

    Source: TFLite Micro's kernels/squared_difference.cc.
    """

    name = "squared_difference"
    kernel = "squared_difference"
    constraints = (
        input_types(DType.INT8, DType.INT16, DType.INT32),
        same_types,
        quantized_operands,
        symmetric_operands,
        int32_unquantized,
        multipliers_in_range,
    )

    def left_shift(self, site: Site) -> int:
        """Bits that both inputs gain first: as many as let the square fit 32 bits."""
        return 0 if site.output().type.dtype is DType.INT16 else 7

    def real_multipliers(self, site: Site) -> tuple[float, ...]:
        """From the square of the common scale to the output's."""
        common = twice_larger_scale(site)
        return (common * common / ((1 << 2 * self.left_shift(site)) * site.output().quant.scale),)

    def compute(self, site: Site, a: Int64, b: Int64) -> Array:
        if site.output().type.dtype is DType.INT32:
            difference = wrap_int32(a - b)
            return wrap_int32(difference * difference)
        a, b = rescale_to(site, twice_larger_scale(site), self.left_shift(site)).apply(site, a, b)
        scaled = requantize((a - b) * (a - b), *quantize_multiplier(*self.real_multipliers(site)))
        limits = site.output().type.dtype.range
        return saturate(wrap_int32(scaled + site.output().quant.zero_point), *limits, "int64")

    def real(self, a: Array, b: Array) -> Array:
        return np.asarray(np.square(a - b))

    def params(self, site: Site) -> Params:
        dtype = site.output().type.dtype
        if dtype is DType.INT32:
            return ()
        rescaling = rescale_to(site, twice_larger_scale(site), self.left_shift(site))
        multiplier = quantize_multiplier(*self.real_multipliers(site))
        return (*rescaling.params(site), *output_params(site, multiplier, dtype.range))
