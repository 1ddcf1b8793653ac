"""MUL: element-wise product with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.binary import (
    BinaryOperator,
    Params,
    activated_limits,
    activation_in_range,
    int32_unquantized,
    multipliers_in_range,
    output_params,
    quantized_operands,
    symmetric_operands,
)
from thimble.compiler.ops.constraints import input_types, same_types
from thimble.compiler.ops.fixed_point import Int64, quantize_multiplier, requantize, saturate, wrap_int32


@dataclass(frozen=True, slots=True)
class Mul(BinaryOperator):
    """input 0 * input 1, broadcast to each other, then the fused activation."""

    activation: Activation

    name = "mul"
    kernel = "mul"
    constraints = (
        input_types(DType.INT8, DType.INT16, DType.INT32),
        same_types,
        quantized_operands,
        symmetric_operands,
        int32_unquantized,
        activation_in_range,
        multipliers_in_range,
    )

    def real_multipliers(self, site: Site) -> tuple[float, ...]:
        """From the product of the input scales to the output's."""
        return (site.input(0).quant.scale * site.input(1).quant.scale / site.output().quant.scale,)

    def compute(self, site: Site, a: Int64, b: Int64) -> Array:
        if site.output().type.dtype is DType.INT32:
            return saturate(wrap_int32(a * b), *activated_limits(site, self.activation), "int64")
        product = (a - site.input(0).quant.zero_point) * (b - site.input(1).quant.zero_point)
        scaled = requantize(product, *quantize_multiplier(*self.real_multipliers(site)))
        return saturate(
            wrap_int32(scaled + site.output().quant.zero_point), *activated_limits(site, self.activation), "int64"
        )

    def real(self, a: Array, b: Array) -> Array:
        return a * b

    def params(self, site: Site) -> Params:
        limits = activated_limits(site, self.activation)
        if site.output().type.dtype is DType.INT32:
            return (("output_min", limits[0]), ("output_max", limits[1]))
        return (
            ("zero_point1", site.input(0).quant.zero_point),
            ("zero_point2", site.input(1).quant.zero_point),
            *output_params(site, quantize_multiplier(*self.real_multipliers(site)), limits),
        )
