"""What convolutions and matrix products with weights share: multipliers, bias, accumulation, constraints."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import ClassVar

import numpy as np

from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import (
    Argument,
    Array,
    GeneratedKernel,
    Input,
    KernelCall,
    Operator,
    Output,
    Overlap,
    ParamValue,
    Rounding,
    RowForm,
    Scratch,
    Shape,
    Span,
    Table,
)
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.activation import Activation, activate, quantized_range
from thimble.compiler.ops.fixed_point import (
    quantize_multiplier,
    requantize,
    requantize_wide,
    saturate,
    wrap_int32,
)
from thimble.compiler.ops.packed import is_packed, packed_call, weights_argument
from thimble.compiler.ops.row_windows import by_rows, window_columns, window_part, window_rows
from thimble.compiler.ops.window import Axis, ExplicitPadding, Padding, resolve_axis, window_params

Params = tuple[tuple[str, ParamValue], ...]

LATE_KERNELS = {"conv_2d_s8": "conv_2d_late_s8", "depthwise_conv_2d_s8": "depthwise_conv_2d_late_s8"}
"""The kernels that write each pixel of a row when the next one is computed, by those that they call."""

WIDE_BITS = 47
"""Sums of int16 activations must lie within +-2**47, so that a 16-bit multiplier keeps the product in 64 bits."""

NARROW_MAX_SHIFT = 29
"""Largest left shift of a 32-bit multiplier: with one more, adding the zero point could leave 32 bits."""

WIDE_MAX_SHIFT = 14
"""Largest left shift of a 16-bit multiplier, whose rounding right shift is 15 - shift (common.cc)."""


@dataclass(frozen=True, slots=True)
class WeightedOperator(Operator):
    """An operator with weights (input 1) and an optional bias (input 2), one multiplier for each output channel.

    `int16_biases` are the types that the bias may have under int16 activations. An int32 bias asks for sums of 32
    bits, as in TFLite Micro; all others, and none, for sums of 64 bits.
    """

    activation: Activation

    int16_biases: ClassVar[tuple[DType, ...]] = ()
    takes_packed = True

    def wide(self, site: Site) -> bool:
        """Whether sums have 64 bits and are requantized with a 16-bit multiplier."""
        if site.input(0).type.dtype is not DType.INT16:
            return False
        return not site.has_input(2) or site.input(2).type.dtype is not DType.INT32

    def multipliers(self, site: Site, channels: int) -> tuple[Array, Array]:
        """int32 multipliers and int8 shifts, one for each output channel: s_in * s_weight / s_out.

        The products are taken in double, as PopulateConvolutionQuantizationParams does (TFLite kernel_util.cc).
        """
        scale_in, scale_out = site.input(0).quant.scale, site.output().quant.scale
        scales = site.input(1).quant.scales
        if len(scales) == 1:
            scales = scales * channels
        pairs = [quantize_multiplier(scale_in * scale / scale_out) for scale in scales]
        return np.array([m for m, _ in pairs], np.int32), np.array([s for _, s in pairs], np.int8)

    def finish(self, site: Site, sums: Array) -> Array:
        """Sums of products (..., channels) in int64 to the stored output: bias, requantization, offset, clamp."""
        channels = sums.shape[-1]
        sums = sums + bias_array(site, channels)
        multipliers, shifts = self.multipliers(site, channels)
        if self.wide(site):
            return self.store(site, requantize_wide(sums, multipliers, shifts))
        return self.store(site, requantize(wrap_int32(sums), multipliers, shifts))

    def finish_real(self, site: Site, sums: Array, inputs: Sequence[Array]) -> Array:
        """Sums of products (..., channels) of plain numbers to the output: bias and fused activation."""
        biased = sums + inputs[2].reshape(-1) if site.has_input(2) else sums
        return activate(self.activation, biased.astype(site.output().type.dtype.numpy, copy=False))

    def store(self, site: Site, scaled: Array) -> Array:
        """Scaled sums to the stored output: offset and clamp.

        They wrap around at 32 bits where scales are absurd, as they do in TFLite Micro.
        """
        dtype = site.output().type.dtype
        low, high = quantized_range(self.activation, site.output().quant, dtype)
        shifted = wrap_int32(wrap_int32(scaled) + site.output().quant.zero_point)
        return saturate(shifted, low, high, dtype.numpy)

    def weighted_call(self, site: Site, kernel: str, geometry: Params, channels: int) -> KernelCall:
        """The call of `kernel`_s8 or `kernel`_s16, with one multiplier and shift for each output channel."""
        multipliers, shifts = self.multipliers(site, channels)
        tables = (Table("multipliers", multipliers), Table("shifts", shifts))
        return self.call_with_tables(site, kernel, geometry, channels, tables)

    def call_with_tables(
        self, site: Site, kernel: str, geometry: Params, channels: int, tables: tuple[Table, ...]
    ) -> KernelCall:
        """The call of `kernel`_s8 or `kernel`_s16 with input, weights, bias, `tables` and output."""
        is_int16 = site.input(0).type.dtype is DType.INT16
        wide: Params = (("wide_sums", int(self.wide(site))),)
        offsets: Params = (
            ("input_zero_point", site.input(0).quant.zero_point),
            ("output_zero_point", site.output().quant.zero_point),
        )
        low, high = quantized_range(self.activation, site.output().quant, site.output().type.dtype)
        params = (
            *geometry,
            *(offsets if not is_int16 else wide if DType.INT32 in self.int16_biases else ()),
            ("output_min", low),
            ("output_max", high),
        )
        if is_packed(site):
            types = [value.type.dtype for value in (site.input(0), site.input(1), site.output())]
            weights = weights_argument(site.input(1), self.packed_weights_shape(site))
            return packed_call(
                kernel, types, params, (Input(0), weights, bias_argument(site, channels), *tables, Output())
            )
        return KernelCall(
            kernel=f"{kernel}_s16" if is_int16 else f"{kernel}_s8",
            params=params,
            arguments=(Input(0), Input(1), bias_argument(site, channels), *tables, Output()),
        )

    def packed_weights_shape(self, site: Site) -> Shape:
        """The shape of int4 and int2 weights in flash: each run along its last axis begins at a byte of its own."""
        shape = site.input(1).type.shape
        return (shape[0], prod(shape[1:]))


def bias_array(site: Site, channels: int) -> Array:
    """The bias, (channels,), in int64; zeros where the model has none."""
    if site.has_input(2):
        return site.input(2).constant.reshape(channels).astype(np.int64)
    return np.zeros(channels, np.int64)


def bias_argument(site: Site, channels: int) -> Argument:
    """The kernel's bias pointer, int32 for int8 kernels and int64 for int16 ones: the model's own tensor or a table."""
    dtype = DType.INT64 if site.input(0).type.dtype is DType.INT16 else DType.INT32
    if site.has_input(2) and site.input(2).type.dtype is dtype:
        return Input(2)
    return Table("bias", bias_array(site, channels).astype(dtype.numpy))


def check_bias_shape(site: Site, channels: int) -> None:
    """Raise MalformedModel if there is a bias that does not hold one element for each output channel."""
    if site.has_input(2) and site.input(2).type.elements != channels:
        raise MalformedModel(
            f"{site.source} has a bias of shape {site.input(2).type.shape} for {channels} output channels."
        )


def rank_4_shapes(site: Site) -> tuple[Shape, Shape]:
    """The shapes of input and weights; raises MalformedModel unless both have rank 4 and no dimension of 0."""
    x, weights = site.input(0).type.shape, site.input(1).type.shape
    if len(x) != 4 or len(weights) != 4 or 0 in x or 0 in weights:
        raise MalformedModel(
            f"{site.source} needs an input and weights of rank 4 that are not empty, not {x} and {weights}."
        )
    return x, weights


@dataclass(frozen=True, slots=True)
class WindowConvolution(WeightedOperator):
    """A convolution that slides a window over its input.

    Where it `writes_late`, by rows each output pixel is kept in scratch until the next one is computed, so that an
    output row may begin a pixel further behind over an input row (may_write_late).
    """

    stride_height: int
    stride_width: int
    dilation_height: int
    dilation_width: int
    padding: Padding | ExplicitPadding
    writes_late: bool = field(default=False, kw_only=True)

    def axes(self, site: Site) -> tuple[Axis, Axis]:
        """The window along height and width."""
        _, height, width, _ = site.input(0).type.shape
        _, kernel_height, kernel_width, _ = site.input(1).type.shape
        rows, columns, where = self.padding.along_height, self.padding.along_width, site.source
        return (
            resolve_axis(height, kernel_height, self.stride_height, self.dilation_height, rows, where),
            resolve_axis(width, kernel_width, self.stride_width, self.dilation_width, columns, where),
        )

    @abstractmethod
    def overlaps_of(self, site: Site, axes: tuple[Axis, Axis]) -> tuple[Overlap, ...]:
        """Over which inputs the output may lie if the windows slide along `axes`."""

    def overlaps(self, site: Site) -> tuple[Overlap, ...]:
        return self.overlaps_of(site, self.axes(site))

    def rows(self, site: Site) -> RowForm | None:
        form = window_rows(site, self.axes(site), self.overlaps_of)
        if form is None or not self.writes_late:
            return form
        pixel_bytes = site.output().type.shape[3]
        later = tuple(replace(overlap, distance=overlap.distance - pixel_bytes) for overlap in form.overlaps)
        return replace(form, overlaps=later)

    def lower_rows(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        calls = self.lower(site, rounding)
        return tuple(late_call(call, site.output().type.shape[3]) for call in calls) if self.writes_late else calls

    def may_write_late(self, site: Site) -> bool:
        """Whether it has kernels that write late, and an output row comes further over an input row by them.

        A node of one row may also run whole, by the other kernel.
        """
        form = window_rows(site, self.axes(site), self.overlaps_of)
        if (
            form is None
            or form.steps == 1
            or {site.input(i).type.dtype for i in range(2)} != {DType.INT8}
            or is_packed(site)
        ):
            return False
        return any(0 < overlap.distance <= site.output().type.shape[3] for overlap in form.overlaps)

    def needed_columns(self, site: Site, columns: Span) -> tuple[Span | None, ...] | None:
        return window_columns(site, self.axes(site), columns)

    def restricted(self, site: Site, rows: Span, columns: Span) -> Site:
        part, padding = window_part(site, self.axes(site), rows, columns)
        return replace(part, op=replace(self, padding=padding))

    def output_shape(self, site: Site, channels: int) -> Shape:
        """The output's shape for `channels` output channels, which the bias must match."""
        check_bias_shape(site, channels)
        rows, columns = self.axes(site)
        return (site.input(0).type.shape[0], rows.output, columns.output, channels)

    def window_call(self, site: Site, kernel: str, depth: tuple[str, int]) -> KernelCall:
        """The call of `kernel`_s8 or _s16; `depth` is the parameter that tells how channels combine."""
        channels = site.output().type.shape[3]
        rows, columns = self.axes(site)
        geometry: Params = (
            ("input_channels", site.input(0).type.shape[3]),
            ("output_channels", channels),
            depth,
            *window_params(rows, columns),
            ("dilation_height", rows.dilation),
            ("dilation_width", columns.dilation),
        )
        return by_rows(self.weighted_call(site, kernel, geometry, channels))


def late_call(call: KernelCall, pixel_bytes: int) -> KernelCall:
    """The call of the kernel around another one that writes each pixel of a row when the next one is computed."""
    kernel = LATE_KERNELS[call.kernel]
    scratch = Scratch(2 * pixel_bytes, "uint8_t")
    *inputs, output, first, end = call.arguments
    return replace(
        call,
        kernel=kernel,
        arguments=(*inputs, scratch, output, first, end),
        source=GeneratedKernel((), (kernel, call.kernel)),
    )


def accumulate_taps(
    x: Array,
    zero_point: int,
    axes: tuple[Axis, Axis],
    channels: int,
    product: Callable[[Array, int, int], Array],
) -> Array:
    """Sums (N, OH, OW, channels) in int64 over all taps of a window that slides over the stored x (N, H, W, C).

    `product` as for `sum_taps`, on x - zero_point. Exact: float64 holds every sum below 2**53.
    """
    return sum_taps(x.astype(np.float64) - zero_point, axes, channels, product).astype(np.int64)


def sum_taps(x: Array, axes: tuple[Axis, Axis], channels: int, product: Callable[[Array, int, int], Array]) -> Array:
    """Sums (N, OH, OW, channels) over all taps of a window that slides over x (N, H, W, C), in x's type.

    `product` gives the products (N, oh, ow, channels) of the window's tap (row, column) with the part of x that it
    meets; taps outside of x add nothing.
    """
    rows, columns = axes
    sums = np.zeros((x.shape[0], rows.output, columns.output, channels), x.dtype)
    for row in rows.taps:
        out_y, in_y = rows.meeting(row)
        for column in columns.taps:
            out_x, in_x = columns.meeting(column)
            sums[:, out_y, out_x] += product(x[:, in_y, in_x], row, column)
    return sums


def exact_matmul(a: Array, b: Array) -> Array:
    """a @ b on integers, exact: float64 holds every sum below 2**53, and int8 or int16 products stay far under."""
    return np.rint(a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)
