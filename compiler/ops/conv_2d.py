"""CONV_2D: dense and grouped two-dimensional convolution."""

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
class Conv2D(WindowConvolution):
    """Input (N, H, W, C), weights (O, KH, KW, C / groups), optional bias (O,), output (N, OH, OW, O)."""

    name = "conv_2d"
    constraints = (
        input_types(DType.INT8, DType.INT16),
        same_input_output_type,
        per_tensor,
        symmetric_int16,
        int8_weights(axis=0),
        bias_matches,
        accumulator_fits,
    )

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        x, weights = self.operand_shapes(site)
        if 0 in weights or 0 in x or x[3] % weights[3] or weights[0] % (x[3] // weights[3]):
            raise MalformedModel(f"{site.source} has weights {weights} that do not divide the input {x} into groups.")
        return (self.output_shape(site, weights[0]),)

    def macs(self, site: Site) -> int:
        return site.output().type.elements * (site.input(1).type.elements // site.input(1).type.shape[0])

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        x = inputs[0]
        channels, height, width, depth = inputs[1].shape
        groups = x.shape[3] // depth
        # (KH, KW, groups, depth, channels / groups): one matrix a group for each tap.
        weights = inputs[1].reshape(groups, channels // groups, height, width, depth).transpose(2, 3, 0, 4, 1)
        weights = weights.astype(np.float64)

        def product(part: Array, row: int, column: int) -> Array:
            pixels = part.reshape(-1, groups, depth).swapaxes(0, 1)
            return (pixels @ weights[row, column]).swapaxes(0, 1).reshape(*part.shape[:3], channels)

        sums = accumulate_taps(x, site.input(0).quant.zero_point, self.axes(site), channels, product)
        return (finish(site, sums, self.activation),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        return (self.call(site, "conv_2d", ("group_channels", site.input(1).type.shape[3])),)
