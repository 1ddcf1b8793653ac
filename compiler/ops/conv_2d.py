"""CONV_2D: dense and grouped two-dimensional convolution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, KernelCall, Overlap, Rounding, Shape
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.convolution import WindowConvolution, accumulate_taps, rank_4_shapes, sum_taps
from thimble.compiler.ops.convolution_constraints import convolution_constraints
from thimble.compiler.ops.overlapping import pixel_windows
from thimble.compiler.ops.window import Axis


@dataclass(frozen=True, slots=True)
class Conv2D(WindowConvolution):
    """Input (N, H, W, C), weights (O, KH, KW, C / groups), optional bias (O,), output (N, OH, OW, O)."""

    name = "conv_2d"
    int16_biases = (DType.INT32, DType.INT64)
    constraints = convolution_constraints(0, int16_biases)

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        x, weights = rank_4_shapes(site)
        if x[3] % weights[3] or weights[0] % (x[3] // weights[3]):
            raise MalformedModel(f"{site.source} has weights {weights} that do not divide the input {x} into groups.")
        return (self.output_shape(site, weights[0]),)

    def macs(self, site: Site) -> int:
        return site.output().type.elements * (site.input(1).type.elements // site.input(1).type.shape[0])

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        product = _tap_product(inputs[0].shape[3], inputs[1].astype(np.float64))
        zero_point = site.input(0).quant.zero_point
        sums = accumulate_taps(inputs[0], zero_point, self.axes(site), inputs[1].shape[0], product)
        return (self.finish(site, sums),)

    def float_reference(self, site: Site, inputs: Sequence[Array]) -> tuple[Array, ...]:
        product = _tap_product(inputs[0].shape[3], inputs[1])
        sums = sum_taps(inputs[0], self.axes(site), inputs[1].shape[0], product)
        return (self.finish_real(site, sums, inputs),)

    def overlaps_of(self, site: Site, axes: tuple[Axis, Axis]) -> tuple[Overlap, ...]:
        return pixel_windows(site, axes)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        return (self.window_call(site, "conv_2d", ("group_channels", site.input(1).type.shape[3])),)


def _tap_product(input_channels: int, weights: Array) -> Callable[[Array, int, int], Array]:
    """The product of one tap of `weights` (O, KH, KW, C / groups) with pixels (N, h, w, C)."""
    channels, height, width, depth = weights.shape
    groups = input_channels // depth
    # (KH, KW, groups, depth, channels / groups): one matrix a group for each tap.
    matrices = weights.reshape(groups, channels // groups, height, width, depth).transpose(2, 3, 0, 4, 1)

    def product(part: Array, row: int, column: int) -> Array:
        if groups == 1:
            return np.asarray(part.reshape(-1, depth) @ matrices[row, column, 0]).reshape(*part.shape[:3], channels)
        pixels: Array = part.reshape(-1, groups, depth).swapaxes(0, 1) @ matrices[row, column]
        return pixels.swapaxes(0, 1).reshape(*part.shape[:3], channels)

    return product
