"""RELU and RELU6 as operators of their own, not fused into another one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import input_types, per_tensor, same_input_output_type
from thimble.compiler.ops.fixed_point import INT32_MAX, quantize_multiplier, round_half_away
from thimble.compiler.ops.unary import IDENTITY, RESCALED, SlopeOperator, Slopes


@dataclass(frozen=True, slots=True)
class Relu(SlopeOperator):
    """max(x, 0), requantized from the input's scale to the output's."""

    name = "relu"
    constraints = RESCALED

    def real(self, x: Array) -> Array:
        return np.maximum(x, 0)

    def slopes(self, site: Site) -> Slopes:
        output = site.output().quant
        slope = quantize_multiplier(site.input(0).quant.scale / output.scale)
        high = site.output().type.dtype.range[1]
        return Slopes(site.input(0).quant.zero_point, slope, slope, output.zero_point, low=output.zero_point, high=high)


def six_fits(site: Site) -> bool:
    """The input scale must be above 3e-9, so that 6 / scale fits 32 bits."""
    return _six_steps(site) <= INT32_MAX


def _six_steps(site: Site) -> float:
    with np.errstate(over="ignore"):
        return float(np.float32(6) / np.float32(site.input(0).quant.scale))


@dataclass(frozen=True, slots=True)
class Relu6(SlopeOperator):
    """min(max(x, 0), 6) on the stored values, at the input's scale; the output's scale plays no part."""

    name = "relu6"
    constraints = (
        input_types(DType.INT8, DType.INT16),
        same_input_output_type,
        per_tensor,
        six_fits,
    )

    def real(self, x: Array) -> Array:
        return np.clip(x, 0, 6)

    def slopes(self, site: Site) -> Slopes:
        zero = site.input(0).quant.zero_point
        lowest, highest = site.output().type.dtype.range
        six = min(max(round_half_away(_six_steps(site)) + zero, lowest), highest)
        return Slopes(0, IDENTITY, IDENTITY, 0, low=zero, high=six)
