"""ABS: the absolute value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array
from thimble.compiler.ops.fixed_point import quantize_multiplier
from thimble.compiler.ops.unary import IDENTITY, RESCALED, SlopeOperator, Slopes


@dataclass(frozen=True, slots=True)
class Abs(SlopeOperator):
    """|x|, requantized where the scales differ."""

    name = "abs"
    constraints = RESCALED

    def real(self, x: Array) -> Array:
        return np.abs(x)

    def slopes(self, site: Site) -> Slopes:
        source, target = site.input(0).quant, site.output().quant
        slope = IDENTITY if source.scale == target.scale else quantize_multiplier(source.scale / target.scale)
        low, high = site.output().type.dtype.range
        return Slopes(source.zero_point, slope, slope, target.zero_point, low, high, negative_sign=-1)
