"""TRANSPOSE_CONV: the gradient of a convolution, which spreads each input element over a window of the output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, KernelCall, Rounding, RowForm, Shape
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.convolution import WeightedOperator, check_bias_shape, rank_4_shapes
from thimble.compiler.ops.convolution_constraints import convolution_constraints
from thimble.compiler.ops.row_windows import by_rows, rows_under
from thimble.compiler.ops.row_wise import MAX_STEPS
from thimble.compiler.ops.window import Axis, Padding, transposed_axis, window_params


@dataclass(frozen=True, slots=True)
class TransposeConv(WeightedOperator):
    """Input (N, H, W, C), weights (O, KH, KW, C), optional bias (O,), output (N, OH, OW, O).

    OH and OW are the file's own: several sizes give the same H and W.
    """

    stride_height: int
    stride_width: int
    padding: Padding

    name = "transpose_conv"
    int16_biases = (DType.INT64, DType.INT16)
    constraints = convolution_constraints(0, int16_biases, packed=False)
    takes_packed = False

    def axes(self, site: Site) -> tuple[Axis, Axis]:
        """The window of the convolution that runs the other way, from output to input."""
        _, height, width, _ = site.input(0).type.shape
        _, kernel_height, kernel_width, _ = site.input(1).type.shape
        _, output_height, output_width, _ = site.output().type.shape
        return (
            transposed_axis(height, output_height, kernel_height, self.stride_height, self.padding, site.source),
            transposed_axis(width, output_width, kernel_width, self.stride_width, self.padding, site.source),
        )

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        x, weights = rank_4_shapes(site)
        output = site.output().type.shape
        if len(output) != 4 or 0 in output:
            raise MalformedModel(f"{site.source} needs an output of rank 4 that is not empty, not {output}.")
        if weights[3] != x[3]:
            raise MalformedModel(f"{site.source} has weights {weights} for an input of {x[3]} channels.")
        check_bias_shape(site, weights[0])
        rows, columns = self.axes(site)
        return ((x[0], rows.input, columns.input, weights[0]),)

    def macs(self, site: Site) -> int:
        channels, height, width, _ = site.input(1).type.shape
        return site.input(0).type.elements * height * width * channels

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        centred = inputs[0].astype(np.float64) - site.input(0).quant.zero_point
        return (self.finish(site, self._spread(site, centred, inputs[1]).astype(np.int64)),)

    def float_reference(self, site: Site, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (self.finish_real(site, self._spread(site, inputs[0], inputs[1]), inputs),)

    def _spread(self, site: Site, x: Array, weights: Array) -> Array:
        """Sums of products (N, OH, OW, O) in x's type."""
        weights = weights.astype(x.dtype, copy=False)
        rows, columns = self.axes(site)
        sums = np.zeros((x.shape[0], rows.input, columns.input, weights.shape[0]), x.dtype)
        for row in rows.taps:
            in_y, out_y = rows.meeting(row)
            for column in columns.taps:
                in_x, out_x = columns.meeting(column)
                sums[:, out_y, out_x] += x[:, in_y, in_x] @ weights[:, row, column].T
        return sums

    def rows(self, site: Site) -> RowForm | None:
        if site.output().type.rows > MAX_STEPS:
            return None
        axis, height = self.axes(site)[0], site.input(0).type.shape[1]
        # Output row y meets tap t of input row r where y + pad == r * stride + t.
        lowest = [-(-(y + axis.pad - axis.kernel + 1) // axis.stride) for y in range(axis.input)]
        highest = [(y + axis.pad) // axis.stride for y in range(axis.input)]
        spans = [(min(max(low, 0), height), min(high + 1, height)) for low, high in zip(lowest, highest, strict=True)]
        return rows_under(site, spans, height)

    def lower_rows(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        return self.lower(site, rounding)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        channels = site.output().type.shape[3]
        rows, columns = (replace(axis, input=axis.output, output=axis.input) for axis in self.axes(site))
        geometry = (
            ("input_channels", site.input(0).type.shape[3]),
            ("output_channels", channels),
            *window_params(rows, columns),
        )
        return (by_rows(self.weighted_call(site, "transpose_conv", geometry, channels)),)
