"""ABS: the absolute value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import (
    input_types,
    per_tensor,
    same_input_output_type,
    scales_comparable,
    symmetric_int16,
)
from thimble.compiler.ops.fixed_point import quantize_multiplier
from thimble.compiler.ops.unary import IDENTITY, SlopeOperator, Slopes


@dataclass(frozen=True, slots=True)
class Abs(SlopeOperator):
    """|x|, requantized where the scales differ."""

    name = "abs"
    constraints = (
        input_types(DType.INT8, DType.INT16),
        same_input_output_type,
        per_tensor,
        symmetric_int16,
        scales_comparable,
    )

    def real(self, x: Array) -> Array:
        return np.abs(x)

    def slopes(self, site: Site) -> Slopes:
        source, target = site.input(0).quant, site.output().quant
        slope = IDENTITY if source.scale == target.scale else quantize_multiplier(source.scale / target.scale)
        low, high = site.output().type.dtype.range
        return Slopes(source.zero_point, slope, slope, target.zero_point, low, high, negative_sign=-1)
