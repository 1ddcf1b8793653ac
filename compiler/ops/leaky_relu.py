"""LEAKY_RELU: the identity above zero, a constant factor below."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import input_types, per_tensor, same_input_output_type
from thimble.compiler.ops.fixed_point import has_multiplier, quantize_multiplier
from thimble.compiler.ops.unary import SlopeOperator, Slopes


def slopes_in_range(site: Site) -> bool:
    """Input scale / output scale, and alpha times that, must be numbers below 2^30."""
    op = site.op
    assert isinstance(op, LeakyRelu)
    return all(has_multiplier(slope) for slope in op.real_slopes(site))


@dataclass(frozen=True, slots=True)
class LeakyRelu(SlopeOperator):
    """x where it is positive, alpha * x elsewhere, requantized; alpha may be negative or above 1."""

    alpha: float

    name = "leaky_relu"
    constraints = (
        input_types(DType.INT8, DType.INT16),
        same_input_output_type,
        per_tensor,
        slopes_in_range,
    )

    def real(self, x: Array) -> Array:
        return np.where(x >= 0, x, x * np.float32(self.alpha))

    def real_slopes(self, site: Site) -> tuple[float, float]:
        """The factors above and below zero."""
        ratio = site.input(0).quant.scale / site.output().quant.scale
        return ratio, site.input(0).quant.scale * self.alpha / site.output().quant.scale

    def slopes(self, site: Site) -> Slopes:
        positive, negative = self.real_slopes(site)
        low, high = site.output().type.dtype.range
        return Slopes(
            site.input(0).quant.zero_point,
            quantize_multiplier(positive),
            quantize_multiplier(negative),
            site.output().quant.zero_point,
            low,
            high,
        )
