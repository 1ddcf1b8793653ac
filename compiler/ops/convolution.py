"""What the convolutions and matrix products share: geometry, multipliers, bias, accumulation, constraints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import (
    Argument,
    Array,
    Input,
    KernelCall,
    Operator,
    Output,
    ParamValue,
    Rounding,
    Shape,
    Table,
)
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.activation import Activation, quantized_range
from thimble.compiler.ops.fixed_point import (
    INT32_MAX,
    quantize_multiplier,
    requantize,
    requantize_once,
    requantize_wide,
    saturate,
)
from thimble.compiler.ops.window import Axis, Padding, resolve_axis


@dataclass(frozen=True, slots=True)
class WindowConvolution(Operator):
    """Attributes and geometry of the convolutions that slide a window over their input."""

    stride_height: int
    stride_width: int
    dilation_height: int
    dilation_width: int
    padding: Padding
    activation: Activation

    def axes(self, site: Site) -> tuple[Axis, Axis]:
        """The window along height and width."""
        _, height, width, _ = site.input(0).type.shape
        _, kernel_height, kernel_width, _ = site.input(1).type.shape
        return (
            resolve_axis(height, kernel_height, self.stride_height, self.dilation_height, self.padding, site.source),
            resolve_axis(width, kernel_width, self.stride_width, self.dilation_width, self.padding, site.source),
        )

    def operand_shapes(self, site: Site) -> tuple[Shape, Shape]:
        """The shapes of input and weights, both of rank 4."""
        x, weights = site.input(0).type.shape, site.input(1).type.shape
        if len(x) != 4 or len(weights) != 4:
            raise MalformedModel(f"{site.source} needs an input and weights of rank 4, not {x} and {weights}.")
        return x, weights

    def output_shape(self, site: Site, channels: int) -> Shape:
        """The output's shape for `channels` output channels, which the bias must match."""
        check_bias_shape(site, channels)
        rows, columns = self.axes(site)
        return (site.input(0).type.shape[0], rows.output, columns.output, channels)

    def call(self, site: Site, kernel: str, depth: tuple[str, int]) -> KernelCall:
        """The call of `kernel`_s8 or _s16; `depth` is the parameter that tells how channels combine."""
        batch, height, width, channels_in = site.input(0).type.shape
        channels_out = site.output().type.shape[3]
        rows, columns = self.axes(site)
        return KernelCall(
            kernel=kernel + suffix(site),
            params=(
                ("batches", batch),
                ("input_height", height),
                ("input_width", width),
                ("input_channels", channels_in),
                depth,
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
                ("output_channels", channels_out),
                *output_params(site, self.activation),
            ),
            arguments=weighted_arguments(site, channels_out),
        )


def suffix(site: Site) -> str:
    """The ending of a kernel's name for the type of the activations."""
    return "_s8" if site.output().type.dtype is DType.INT8 else "_s16"


def output_params(site: Site, activation: Activation) -> tuple[tuple[str, ParamValue], ...]:
    """The parameters of a kernel's zero points and output clamp."""
    low, high = quantized_range(activation, site.output().quant, site.output().type.dtype)
    return (
        ("input_zero_point", site.input(0).quant.zero_point),
        ("output_zero_point", site.output().quant.zero_point),
        ("output_min", low),
        ("output_max", high),
    )


def weighted_arguments(site: Site, channels: int) -> tuple[Argument, ...]:
    """Input, weights, bias, multipliers, shifts, output: the arguments of every kernel with weights."""
    multipliers, shifts = channel_multipliers(site, channels)
    return (
        Input(0),
        Input(1),
        bias_argument(site, channels),
        Table("multipliers", multipliers),
        Table("shifts", shifts),
        Output(),
    )


def check_bias_shape(site: Site, channels: int) -> None:
    """Raise MalformedModel if there is a bias and it is not of shape (channels,)."""
    if site.has_input(2) and site.input(2).type.shape != (channels,):
        raise MalformedModel(f"{site.source} has a bias of another shape than ({channels},).")


def channel_multipliers(site: Site, channels: int) -> tuple[Array, Array]:
    """int32 multipliers and int8 shifts, one for each output channel: s_in * s_weight / s_out.

    The products are taken in double, as PopulateConvolutionQuantizationParams does (TFLite kernel_util.cc).
    """
    scale_in, scale_out = site.input(0).quant.scale, site.output().quant.scale
    scales = site.input(1).quant.scales
    if len(scales) == 1:
        scales = scales * channels
    pairs = [quantize_multiplier(scale_in * scale / scale_out) for scale in scales]
    return np.array([m for m, _ in pairs], np.int32), np.array([s for _, s in pairs], np.int8)


def bias_array(site: Site, channels: int) -> Array:
    """The bias, (channels,); zeros of the accumulator's type where the model has none."""
    if site.has_input(2):
        return site.input(2).constant
    return np.zeros(channels, np.int64 if site.input(0).type.dtype is DType.INT16 else np.int32)


def bias_argument(site: Site, channels: int) -> Argument:
    """The kernel's bias pointer: the model's own tensor, or a table of zeros."""
    return Input(2) if site.has_input(2) else Table("bias", bias_array(site, channels))


def finish(site: Site, accumulator: Array, activation: Activation, single_rounding: bool = False) -> Array:
    """Sums of products (..., channels) in int64 to the stored output: bias, requantization, offset, clamp."""
    dtype = site.output().type.dtype
    channels = accumulator.shape[-1]
    bias = bias_array(site, channels)
    accumulator = accumulator + bias.astype(np.int64)
    multipliers, shifts = channel_multipliers(site, channels)
    if bias.dtype == np.int64:
        scaled = requantize_wide(accumulator, multipliers, shifts)
    elif single_rounding:
        scaled = requantize_once(accumulator, multipliers, shifts)
    else:
        scaled = requantize(accumulator, multipliers, shifts)
    low, high = quantized_range(activation, site.output().quant, dtype)
    return saturate(scaled + site.output().quant.zero_point, low, high, dtype.numpy)


def accumulate_taps(
    x: Array,
    zero_point: int,
    axes: tuple[Axis, Axis],
    channels: int,
    product: Callable[[Array, int, int], Array],
) -> Array:
    """Sums (N, OH, OW, channels) in int64 over all taps of a window that slides over x (N, H, W, C).

    `product` gives the products (N, oh, ow, channels) of the window's tap (row, column) with the part of
    x - zero_point that it meets; taps outside of x add nothing. Exact: float64 holds every sum below 2**53.
    """
    rows, columns = axes
    centred = x.astype(np.float64) - zero_point
    sums = np.zeros((x.shape[0], rows.output, columns.output, channels))
    for row in rows.taps:
        out_y, in_y = rows.meeting(row)
        for column in columns.taps:
            out_x, in_x = columns.meeting(column)
            sums[:, out_y, out_x] += product(centred[:, in_y, in_x], row, column)
    return sums.astype(np.int64)


def exact_matmul(a: Array, b: Array) -> Array:
    """a @ b on integers, exact: float64 holds every sum below 2**53, and int8 or int16 products stay far under."""
    return np.rint(a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)


def accumulator_fits(site: Site) -> bool:
    """Bias plus the largest possible sum of products must fit 32 bits, or the accumulator could overflow."""
    if site.input(0).type.dtype is not DType.INT8:
        return True
    weights = site.input(1).constant.astype(np.int64)
    axis = 3 if site.op.name == "depthwise_conv_2d" else 0
    others = tuple(a for a in range(weights.ndim) if a != axis)
    zero_point = site.input(0).quant.zero_point
    reach = max(127 - zero_point, zero_point + 128)
    sums = np.abs(weights).sum(axis=others) * reach
    bias = np.abs(bias_array(site, weights.shape[axis]).astype(np.int64))
    return bias.shape == sums.shape and bool((sums + bias <= INT32_MAX).all())


def rounds_once(rounding: Rounding) -> bool:
    """Whether FULLY_CONNECTED rounds once: LiteRT's reference kernel does, TFLite Micro's does not."""
    return rounding is Rounding.LITERT
