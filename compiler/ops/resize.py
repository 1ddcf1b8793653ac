"""RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR: another height and width."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Input, KernelCall, Operator, Output, Rounding, Shape, Table
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import input_types, same_input_output_type
from thimble.compiler.ops.fixed_point import round_half_away

_FRACTION_BITS = 10
_ONE = 1 << _FRACTION_BITS
"""A bilinear position is a fixed-point number with 10 fractional bits (ResizeBilinearInteger, resize_bilinear.h)."""


@dataclass(frozen=True, slots=True)
class Resize(Operator):
    """Input (N, H, W, C), output (N, height, width, C)."""

    height: int
    width: int
    align_corners: bool
    half_pixel_centers: bool

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        x = site.input(0).type.shape
        if len(x) != 4 or 0 in x:
            raise MalformedModel(f"{site.source} needs an input of four dimensions of 1 or more, not {x}.")
        if min(self.height, self.width) < 1:
            raise MalformedModel(f"{site.source} resizes to {self.height} by {self.width}.")
        return ((x[0], self.height, self.width, x[3]),)

    @abstractmethod
    def positions(self, input_size: int, output_size: int) -> Array:
        """Where along one axis each output element takes its value: (output_size,)."""

    def tables(self, site: Site) -> tuple[Array, Array]:
        """The positions of rows and of columns."""
        _, height, width, _ = site.input(0).type.shape
        return self.positions(height, self.height), self.positions(width, self.width)


def sides_fit_int16(site: Site) -> bool:
    """Height and width must be at most 32767."""
    return all(max(value.type.shape[1:3]) <= 0x7FFF for value in (site.input(0), site.output()))


def centers_or_corners(site: Site) -> bool:
    """Half-pixel centers and aligned corners exclude each other."""
    return isinstance(site.op, Resize) and not (site.op.half_pixel_centers and site.op.align_corners)


def steps_stay_inside(site: Site) -> bool:
    """The output must not be so much larger than the input that steps of 10 fractional bits run past its end."""
    op = site.op
    _, height, width, _ = site.input(0).type.shape
    return isinstance(op, ResizeBilinear) and all(
        op.last_position(size, output) < size * _ONE for size, output in ((height, op.height), (width, op.width))
    )


@dataclass(frozen=True, slots=True)
class ResizeBilinear(Resize):
    """Each output element is interpolated between the four input elements around its position."""

    name = "resize_bilinear"
    constraints = (
        input_types(DType.INT8),
        same_input_output_type,
        sides_fit_int16,
        centers_or_corners,
        steps_stay_inside,
    )

    def step(self, input_size: int, output_size: int) -> tuple[int, int]:
        """Distance between two positions, and the first position."""
        if self.align_corners and output_size > 1:
            input_size, output_size = input_size - 1, output_size - 1
        step = (_ONE * input_size + output_size // 2) // output_size
        return step, step // 2 - _ONE // 2 if self.half_pixel_centers else 0

    def last_position(self, input_size: int, output_size: int) -> int:
        """The position of the last output element."""
        step, first = self.step(input_size, output_size)
        return first + step * (output_size - 1)

    def positions(self, input_size: int, output_size: int) -> Array:
        step, first = self.step(input_size, output_size)
        # What lies before the first element is made of the first element alone, as at position 0.
        return np.maximum(first + step * np.arange(output_size, dtype=np.int64), 0).astype(np.int32)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        rows, columns = self.tables(site)
        x = inputs[0].astype(np.int64)
        x = _interpolate(_interpolate(x, rows, axis=1), columns, axis=2)
        half = _ONE * _ONE // 2
        magnitude = (np.abs(x) + half) // (_ONE * _ONE)
        return ((np.sign(x) * magnitude).astype(np.int8),)

    def float_reference(self, site: Site, inputs: Sequence[Array]) -> tuple[Array, ...]:
        _, height, width, _ = site.input(0).type.shape
        x = self.interpolate_real(inputs[0], height, self.height, axis=1)
        return (self.interpolate_real(x, width, self.width, axis=2),)

    def interpolate_real(self, x: Array, input_size: int, output_size: int, axis: int) -> Array:
        """x at the real positions along `axis` (ComputeInterpolationValues, TFLite resize_bilinear.h)."""
        corners = self.align_corners and output_size > 1
        scale = np.float32((input_size - 1) / (output_size - 1) if corners else input_size / output_size)
        offset = np.float32(0.5 if self.half_pixel_centers else 0)
        exact = (np.arange(output_size, dtype=np.float32) + offset) * scale - offset
        low = np.clip(np.floor(exact).astype(np.int64), 0, input_size - 1)
        high = np.clip(np.floor(exact).astype(np.int64) + 1, 0, input_size - 1)
        shape = [1] * x.ndim
        shape[axis] = output_size
        fraction = (exact - np.floor(exact)).astype(x.dtype).reshape(shape)
        return np.asarray(x.take(low, axis) * (1 - fraction) + x.take(high, axis) * fraction)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        batch, height, width, channels = site.input(0).type.shape
        rows, columns = self.tables(site)
        call = KernelCall(
            kernel="resize_bilinear_s8",
            params=(
                ("batches", batch),
                ("input_height", height),
                ("input_width", width),
                ("channels", channels),
                ("output_height", self.height),
                ("output_width", self.width),
            ),
            arguments=(Input(0), Table("rows", rows), Table("columns", columns), Output()),
        )
        return (call,)


@dataclass(frozen=True, slots=True)
class ResizeNearestNeighbor(Resize):
    """Each output element is a copy of the input element nearest to its position."""

    name = "resize_nearest_neighbor"
    moves_values = True
    constraints = (input_types(DType.INT8, DType.INT16, DType.FLOAT32), same_input_output_type, sides_fit_int16)

    def positions(self, input_size: int, output_size: int) -> Array:
        """Every operation in float32, as GetNearestNeighbor does (TFLite reference/resize_nearest_neighbor.h)."""
        if self.align_corners and output_size > 1:
            scale = np.float32(input_size - 1) / np.float32(output_size - 1)
        else:
            scale = np.float32(input_size) / np.float32(output_size)
        offset = np.float32(0.5 if self.half_pixel_centers else 0.0)
        exact = (np.arange(output_size, dtype=np.float32) + offset) * scale
        nearest = np.array([round_half_away(float(v)) for v in exact]) if self.align_corners else np.floor(exact)
        return np.asarray(np.minimum(nearest, input_size - 1), np.int16)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        rows, columns = self.tables(site)
        return (inputs[0][:, rows][:, :, columns],)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        batch, height, width, channels = site.input(0).type.shape
        rows, columns = self.tables(site)
        call = KernelCall(
            kernel="resize_nearest_neighbor",
            params=(
                ("batches", batch),
                ("input_height", height),
                ("input_width", width),
                ("pixel_bytes", channels * site.input(0).type.dtype.bytes),
                ("output_height", self.height),
                ("output_width", self.width),
            ),
            arguments=(Input(0), Table("rows", rows), Table("columns", columns), Output()),
        )
        return (call,)


def _interpolate(x: Array, positions: Array, axis: int) -> Array:
    """x at `positions` along `axis`, times 2**10."""
    low = positions >> _FRACTION_BITS
    high = np.minimum(low + 1, x.shape[axis] - 1)
    shape = [1] * x.ndim
    shape[axis] = len(positions)
    fraction = (positions & (_ONE - 1)).reshape(shape)
    return np.asarray(x.take(low, axis) * (_ONE - fraction) + x.take(high, axis) * fraction)
