"""AVERAGE_POOL_2D and MAX_POOL_2D: a sliding window over height and width, each channel on its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import (
    Accumulator,
    Array,
    Input,
    KernelCall,
    Operator,
    Output,
    Overlap,
    Rounding,
    RowForm,
    Shape,
    Span,
)
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.accumulating import (
    accumulated_rows,
    accumulating_call,
    channel_maxima,
    channel_sums,
    image_params,
)
from thimble.compiler.ops.activation import Activation, activate, quantized_range
from thimble.compiler.ops.constraints import NARROW, activation_fits, input_types, per_tensor, same_input_output_type
from thimble.compiler.ops.fixed_point import INT32_MAX, saturate
from thimble.compiler.ops.overlapping import channel_windows
from thimble.compiler.ops.packed import packed_call
from thimble.compiler.ops.row_windows import by_rows, window_columns, window_part, window_rows
from thimble.compiler.ops.window import Axis, ExplicitPadding, Padding, resolve_axis, window_params


def same_scale_and_zero_point(site: Site) -> bool:
    """Input and output must have the same zero point, and scales that differ by at most 0.000001."""
    given, made = site.input(0).quant, site.output().quant
    return abs(given.scale - made.scale) <= 1e-6 and given.zero_point == made.zero_point


def sums_fit(site: Site) -> bool:
    """The sum over a window must fit 32 bits."""
    pool = site.op
    if not isinstance(pool, Pool2D):
        return False
    rows, columns = pool.axes(site)
    count = min(rows.kernel, rows.input) * min(columns.kernel, columns.input)
    return count * -site.input(0).type.dtype.range[0] + count // 2 <= INT32_MAX


@dataclass(frozen=True, slots=True)
class Pool2D(Operator):
    """Input (N, H, W, C), output (N, OH, OW, C); the window sees only what lies inside of the input."""

    kernel_height: int
    kernel_width: int
    stride_height: int
    stride_width: int
    padding: Padding | ExplicitPadding
    activation: Activation

    constraints = (
        input_types(*NARROW, DType.INT16),
        same_input_output_type,
        per_tensor,
        same_scale_and_zero_point,
        activation_fits,
        sums_fit,
    )
    kernels: ClassVar[dict[DType, str]] = {}
    takes_packed = True

    @abstractmethod
    def pool(self, x: Array, rows: Axis, columns: Axis) -> Array:
        """Windows of x (N, H, W, C) reduced to (N, OH, OW, C), as int64, before the activation."""

    @abstractmethod
    def pool_real(self, x: Array, rows: Axis, columns: Axis) -> Array:
        """The same of plain numbers, in x's type."""

    @abstractmethod
    def accumulator(self, site: Site) -> tuple[Accumulator, str, str]:
        """What a pool over the whole image keeps from row to row, and the family and suffix of the kernel."""

    def accumulates(self, site: Site) -> bool:
        """Whether all rows of one image end under a single window.

        Parts of other pools have explicit padding, and stay windows like the whole.
        """
        x = site.input(0).type.shape
        known = isinstance(self.padding, Padding)
        return known and x[0] == 1 and x[1] > 1 and all(axis.is_global for axis in self.axes(site))

    def axes(self, site: Site) -> tuple[Axis, Axis]:
        """The window along height and width."""
        _, height, width, _ = site.input(0).type.shape
        rows, columns, where = self.padding.along_height, self.padding.along_width, site.source
        return (
            resolve_axis(height, self.kernel_height, self.stride_height, 1, rows, where),
            resolve_axis(width, self.kernel_width, self.stride_width, 1, columns, where),
        )

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        x = site.input(0).type.shape
        if len(x) != 4 or 0 in x:
            raise MalformedModel(f"{site.source} needs an input of four dimensions of 1 or more, not {x}.")
        rows, columns = self.axes(site)
        return ((x[0], rows.output, columns.output, x[3]),)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        dtype = site.output().type.dtype
        low, high = quantized_range(self.activation, site.output().quant, dtype)
        return (saturate(self.pool(inputs[0], *self.axes(site)), low, high, dtype.numpy),)

    def float_reference(self, site: Site, inputs: Sequence[Array]) -> tuple[Array, ...]:
        pooled = self.pool_real(inputs[0], *self.axes(site))
        return (activate(self.activation, pooled.astype(inputs[0].dtype, copy=False)),)

    def overlaps(self, site: Site) -> tuple[Overlap, ...]:
        return channel_windows(site, self.axes(site))

    def rows(self, site: Site) -> RowForm | None:
        if self.accumulates(site):
            return accumulated_rows(site, self.accumulator(site)[0])
        return window_rows(site, self.axes(site), channel_windows)

    def lower_rows(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        if not self.accumulates(site):
            return self.lower(site, rounding)
        accumulator, family, suffix = self.accumulator(site)
        low, high = quantized_range(self.activation, site.output().quant, site.output().type.dtype)
        params = (*image_params(site), ("output_min", low), ("output_max", high))
        return (accumulating_call(site, family, suffix, params, accumulator),)

    def needed_columns(self, site: Site, columns: Span) -> tuple[Span | None, ...] | None:
        return None if self.accumulates(site) else window_columns(site, self.axes(site), columns)

    def restricted(self, site: Site, rows: Span, columns: Span) -> Site:
        part, padding = window_part(site, self.axes(site), rows, columns)
        return replace(part, op=replace(self, padding=padding))

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        dtype = site.output().type.dtype
        low, high = quantized_range(self.activation, site.output().quant, dtype)
        params = (
            ("channels", site.input(0).type.shape[3]),
            *window_params(*self.axes(site)),
            ("output_min", low),
            ("output_max", high),
        )
        arguments = (Input(0), Output())
        if dtype.is_packed:
            return (by_rows(packed_call(self.name, (dtype,), params, arguments)),)
        return (by_rows(KernelCall(self.kernels[dtype], params, arguments)),)


@dataclass(frozen=True, slots=True)
class AveragePool2D(Pool2D):
    """The mean of a window's elements that lie inside of the input, halves rounded away from zero."""

    name = "average_pool_2d"
    kernels: ClassVar = {DType.INT8: "average_pool_2d_s8", DType.INT16: "average_pool_2d_s16"}

    def accumulator(self, site: Site) -> tuple[Accumulator, str, str]:
        sums, suffix = channel_sums(site)
        return sums, "average_pool_2d_accumulate", suffix

    def pool(self, x: Array, rows: Axis, columns: Axis) -> Array:
        sums = pool_separably(x.astype(np.int64), rows, columns, np.sum)
        counts = _counts(rows, columns)
        # Like C, away from zero: add half of the count to the magnitude, then cut.
        return np.asarray(np.sign(sums) * ((np.abs(sums) + counts // 2) // counts))

    def pool_real(self, x: Array, rows: Axis, columns: Axis) -> Array:
        return np.asarray(pool_separably(x, rows, columns, np.sum) / _counts(rows, columns))


@dataclass(frozen=True, slots=True)
class MaxPool2D(Pool2D):
    """The largest of a window's elements that lie inside of the input."""

    name = "max_pool_2d"
    kernels: ClassVar = {DType.INT8: "max_pool_2d_s8", DType.INT16: "max_pool_2d_s16"}

    def accumulator(self, site: Site) -> tuple[Accumulator, str, str]:
        maxima, suffix = channel_maxima(site)
        return maxima, "max_accumulate", suffix

    def pool(self, x: Array, rows: Axis, columns: Axis) -> Array:
        return pool_separably(x.astype(np.int64), rows, columns, np.max)

    def pool_real(self, x: Array, rows: Axis, columns: Axis) -> Array:
        return pool_separably(x, rows, columns, np.max)


def pool_separably(x: Array, rows: Axis, columns: Axis, reduce: Callable[..., Any]) -> Array:
    """Reduce windows along height, then along width: OH + OW steps however large the window is."""
    tall = [reduce(x[:, begin:end], axis=1) for begin, end in _spans(rows)]
    x = np.stack(tall, axis=1)
    wide = [reduce(x[:, :, begin:end], axis=2) for begin, end in _spans(columns)]
    return np.stack(wide, axis=2)


def _spans(axis: Axis) -> list[tuple[int, int]]:
    """[begin, end) of each window's part inside of the input."""
    starts = [i * axis.stride - axis.pad for i in range(axis.output)]
    return [(max(start, 0), min(start + axis.kernel, axis.input)) for start in starts]


def _counts(rows: Axis, columns: Axis) -> Array:
    """How many elements each window sees inside of the input: (OH, OW, 1)."""
    return np.outer(_lengths(rows), _lengths(columns))[:, :, None]


def _lengths(axis: Axis) -> Array:
    return np.array([end - begin for begin, end in _spans(axis)], np.int64)
