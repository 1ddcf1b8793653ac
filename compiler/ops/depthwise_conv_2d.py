"""DEPTHWISE_CONV_2D: each input channel convolved with its own `multiplier` kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, KernelCall, Rounding, Shape
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import (
    bias_matches,
    input_types,
    int8_weights,
    per_tensor,
    same_input_output_type,
    symmetric_int16,
)
from thimble.compiler.ops.convolution import WindowConvolution, accumulate_taps, accumulator_fits, finish


@dataclass(frozen=True, slots=True)
class DepthwiseConv2D(WindowConvolution):
    """Input (N, H, W, C), weights (1, KH, KW, C * multiplier), optional bias (C * multiplier,).

    Output (N, OH, OW, C * multiplier); its channel c * multiplier + m sees input channel c only.
    """

    multiplier: int

    name = "depthwise_conv_2d"
    constraints = (
        input_types(DType.INT8, DType.INT16),
        same_input_output_type,
        per_tensor,
        symmetric_int16,
        int8_weights(axis=3),
        bias_matches,
        accumulator_fits,
    )

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        x, weights = self.operand_shapes(site)
        channels = weights[3]
        if weights[0] != 1 or 0 in weights or 0 in x or channels != x[3] * self.multiplier:
            raise MalformedModel(
                f"{site.source} has weights {weights} that do not fit {x[3]} input channels times a "
                f"multiplier of {self.multiplier}."
            )
        return (self.output_shape(site, channels),)

    def macs(self, site: Site) -> int:
        _, height, width, _ = site.input(1).type.shape
        return site.output().type.elements * height * width

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        weights = inputs[1][0].astype(np.float64)

        def product(part: Array, row: int, column: int) -> Array:
            return part.repeat(self.multiplier, axis=3) * weights[row, column]

        zero_point = site.input(0).quant.zero_point
        sums = accumulate_taps(inputs[0], zero_point, self.axes(site), weights.shape[2], product)
        return (finish(site, sums, self.activation),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        return (self.call(site, "depthwise_conv_2d", ("multiplier", self.multiplier)),)
