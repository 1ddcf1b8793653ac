"""Element-wise operators of one quantized input: int8 becomes a table of 256 entries, int16 a kernel of its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.errors import UnsupportedOp
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Input, KernelCall, Output, Overlap, Rounding, Shape, Table
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import (
    input_types,
    per_tensor,
    same_input_output_type,
    scales_comparable,
    symmetric_int16,
)
from thimble.compiler.ops.fixed_point import Int64, requantize, saturate, wrap_int32
from thimble.compiler.ops.overlapping import element_by_element
from thimble.compiler.ops.row_wise import RowWiseOperator

RESCALED = (
    input_types(DType.INT8, DType.INT16),
    same_input_output_type,
    per_tensor,
    symmetric_int16,
    scales_comparable,
)
"""Constraints of an operator that may give its output a scale of its own."""


@dataclass(frozen=True, slots=True)
class UnaryOperator(RowWiseOperator):
    """Output of the input's shape and type; each value depends on one input value."""

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        return (site.input(0).type.shape,)

    @abstractmethod
    def compute(self, site: Site, x: Int64) -> Int64:
        """Stored output values of the stored input values `x`, exactly as TFLite Micro's reference kernel."""

    def lower_wide(self, site: Site) -> KernelCall:
        """The kernel for int16; operators that take int8 alone have none."""
        raise NotImplementedError(f"{self.name} takes no {site.input(0).type.dtype.value}")

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        return (np.asarray(self.compute(site, inputs[0].astype(np.int64)), site.output().type.dtype.numpy),)

    def real(self, x: Array) -> Array:
        """The function on plain numbers."""
        raise UnsupportedOp(f"{self.name} has no float form in Thimble.")

    def float_reference(self, site: Site, inputs: Sequence[Array]) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            return (np.asarray(self.real(inputs[0]), site.output().type.dtype.numpy),)

    def overlaps(self, site: Site) -> tuple[Overlap, ...]:
        return element_by_element(site)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        if site.input(0).type.dtype is not DType.INT8:
            return (self.lower_wide(site),)
        table = self.compute(site, np.arange(-128, 128)).astype(np.int8)
        size = ("size", site.input(0).type.elements)
        return (KernelCall("lookup_s8", (size,), (Input(0), Table("table", table), Output())),)


@dataclass(frozen=True, slots=True)
class Slopes:
    """A function of two slopes that meet at the input's zero point; each slope is a (multiplier, shift) pair.

    Below the zero point the difference is multiplied by `negative_sign` first: -1 gives the absolute value.
    """

    input_zero_point: int
    positive: tuple[int, int]
    negative: tuple[int, int]
    output_zero_point: int
    low: int
    high: int
    negative_sign: int = 1


IDENTITY = (1 << 30, 1)
"""The slope 1: requantization by it is exact for every difference of two int16."""


@dataclass(frozen=True, slots=True)
class SlopeOperator(UnaryOperator):
    """An operator that is two slopes, on int8 and int16 alike."""

    @abstractmethod
    def slopes(self, site: Site) -> Slopes:
        """The function, in quantized terms."""

    def compute(self, site: Site, x: Int64) -> Int64:
        f = self.slopes(site)
        value = x - f.input_zero_point
        positive = requantize(value, *f.positive)
        negative = requantize(value * f.negative_sign, *f.negative)
        scaled = np.where(value >= 0, positive, negative)
        return saturate(wrap_int32(scaled + f.output_zero_point), f.low, f.high, np.int64)

    def lower_wide(self, site: Site) -> KernelCall:
        f = self.slopes(site)
        return KernelCall(
            kernel="two_slopes_s16",
            params=(
                ("size", site.input(0).type.elements),
                ("input_zero_point", f.input_zero_point),
                ("positive_multiplier", f.positive[0]),
                ("positive_shift", f.positive[1]),
                ("negative_sign", f.negative_sign),
                ("negative_multiplier", f.negative[0]),
                ("negative_shift", f.negative[1]),
                ("output_zero_point", f.output_zero_point),
                ("output_min", f.low),
                ("output_max", f.high),
            ),
            arguments=(Input(0), Output()),
        )
