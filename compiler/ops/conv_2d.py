"""CONV_2D: dense and grouped two-dimensional convolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Input, KernelCall, Operator, Output, Rounding, Shape, Table
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.activation import Activation, quantized_range
from thimble.compiler.ops.constraints import (
    bias_matches,
    input_types,
    int8_weights,
    output_types,
    per_tensor,
    same_input_output_type,
    symmetric_int16,
)
from thimble.compiler.ops.convolution import (
    accumulator_fits,
    bias_argument,
    bias_array,
    channel_multipliers,
    exact_matmul,
    finish,
)
from thimble.compiler.ops.window import Axis, Padding, resolve_axis, sliding_windows


@dataclass(frozen=True, slots=True)
class Conv2D(Operator):
    """Input (N, H, W, C), weights (O, KH, KW, C / groups), optional bias (O,), output (N, OH, OW, O)."""

    stride_height: int
    stride_width: int
    dilation_height: int
    dilation_width: int
    padding: Padding
    activation: Activation

    name = "conv_2d"
    constraints = (
        input_types(DType.INT8, DType.INT16),
        output_types(DType.INT8, DType.INT16),
        same_input_output_type,
        per_tensor,
        symmetric_int16,
        int8_weights(axis=0),
        bias_matches,
        accumulator_fits,
    )

    def axes(self, site: Site) -> tuple[Axis, Axis]:
        """The window along height and width."""
        _, height, width, _ = site.input(0).type.shape
        _, kernel_height, kernel_width, _ = site.input(1).type.shape
        return (
            resolve_axis(
                height, kernel_height, self.stride_height, self.dilation_height, self.padding, site.source
            ),
            resolve_axis(
                width, kernel_width, self.stride_width, self.dilation_width, self.padding, site.source
            ),
        )

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        x, weights = site.input(0).type.shape, site.input(1).type.shape
        if len(x) != 4 or len(weights) != 4:
            raise MalformedModel(
                f"{site.source} needs an input and weights of rank 4, not {x} and {weights}."
            )
        if 0 in weights or x[3] % weights[3] or weights[0] % (x[3] // weights[3]):
            raise MalformedModel(
                f"{site.source} has weights {weights} that do not divide the input {x} into groups."
            )
        if site.has_input(2) and site.input(2).type.shape != (weights[0],):
            raise MalformedModel(f"{site.source} has a bias of another shape than ({weights[0]},).")
        rows, columns = self.axes(site)
        return ((x[0], rows.output, columns.output, weights[0]),)

    def macs(self, site: Site) -> int:
        return site.output().type.elements * (site.input(1).type.elements // site.input(1).type.shape[0])

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        x, weights = inputs[0], inputs[1]
        channels, _, _, depth = weights.shape
        groups = x.shape[3] // depth
        quant = site.input(0).quant
        rows, columns = self.axes(site)
        windows = sliding_windows(x, rows, columns, quant.zero_point)
        per_group = channels // groups
        outputs = []
        for group in range(groups):
            part = windows[..., group * depth : (group + 1) * depth]
            patches = (
                part.reshape(x.shape[0] * rows.output * columns.output, -1).astype(np.int32)
                - quant.zero_point
            )
            kernel = weights[group * per_group : (group + 1) * per_group].reshape(per_group, -1)
            outputs.append(exact_matmul(patches, kernel.T))
        accumulator = np.concatenate(outputs, axis=1) + bias_array(site, channels).astype(np.int64)
        return (finish(site, accumulator, channels, self.activation).reshape(site.output().type.shape),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        batch, height, width, depth = site.input(0).type.shape
        channels, _, _, group_depth = site.input(1).type.shape
        rows, columns = self.axes(site)
        dtype = site.output().type.dtype
        low, high = quantized_range(self.activation, site.output().quant, dtype)
        multipliers, shifts = channel_multipliers(site, channels)
        call = KernelCall(
            kernel="conv_2d_s8" if dtype is DType.INT8 else "conv_2d_s16",
            params=(
                ("batches", batch),
                ("input_height", height),
                ("input_width", width),
                ("input_channels", depth),
                ("group_channels", group_depth),
                ("kernel_height", rows.kernel),
                ("kernel_width", columns.kernel),
                ("stride_height", rows.stride),
                ("stride_width", columns.stride),
                ("dilation_height", rows.dilation),
                ("dilation_width", columns.dilation),
                ("pad_top", rows.pad),
                ("pad_left", columns.pad),
                ("output_height", rows.output),
                ("output_width", columns.output),
                ("output_channels", channels),
                ("input_zero_point", site.input(0).quant.zero_point),
                ("output_zero_point", site.output().quant.zero_point),
                ("output_min", low),
                ("output_max", high),
            ),
            arguments=(
                Input(0),
                Input(1),
                bias_argument(site, channels),
                Table("multipliers", multipliers),
                Table("shifts", shifts),
                Output(),
            ),
        )
        return (call,)
