"""DEPTHWISE_CONV_2D: each input channel convolved with its own `multiplier` kernels."""

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
from thimble.compiler.ops.overlapping import channel_windows
from thimble.compiler.ops.window import Axis


@dataclass(frozen=True, slots=True)
class DepthwiseConv2D(WindowConvolution):
    """Input (N, H, W, C), weights (1, KH, KW, C * multiplier), optional bias (C * multiplier,).

    Output (N, OH, OW, C * multiplier); its channel c * multiplier + m sees input channel c only.
    """

    multiplier: int

    name = "depthwise_conv_2d"
    int16_biases = (DType.INT64,)
    constraints = convolution_constraints(3, int16_biases)

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        x, weights = rank_4_shapes(site)
        if weights[0] != 1 or weights[3] != x[3] * self.multiplier:
            raise MalformedModel(
                f"{site.source} has weights {weights} that do not fit {x[3]} input channels times a "
                f"multiplier of {self.multiplier}."
            )
        return (self.output_shape(site, weights[3]),)

    def macs(self, site: Site) -> int:
        _, height, width, _ = site.input(1).type.shape
        return site.output().type.elements * height * width

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        product = self._tap_product(inputs[1].astype(np.float64))
        zero_point = site.input(0).quant.zero_point
        sums = accumulate_taps(inputs[0], zero_point, self.axes(site), inputs[1].shape[3], product)
        return (self.finish(site, sums),)

    def float_reference(self, site: Site, inputs: Sequence[Array]) -> tuple[Array, ...]:
        sums = sum_taps(inputs[0], self.axes(site), inputs[1].shape[3], self._tap_product(inputs[1]))
        return (self.finish_real(site, sums, inputs),)

    def _tap_product(self, weights: Array) -> Callable[[Array, int, int], Array]:
        def product(part: Array, row: int, column: int) -> Array:
            copies = part if self.multiplier == 1 else part.repeat(self.multiplier, axis=3)
            return np.asarray(copies * weights[0, row, column])

        return product

    def overlaps_of(self, site: Site, axes: tuple[Axis, Axis]) -> tuple[Overlap, ...]:
        return channel_windows(site, axes, self.multiplier)

    def packed_weights_shape(self, site: Site) -> Shape:
        return site.input(1).type.shape

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        return (self.window_call(site, "depthwise_conv_2d", ("multiplier", self.multiplier)),)
