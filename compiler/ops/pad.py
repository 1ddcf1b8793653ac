"""PAD and PADV2: a tensor framed with one value."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.compiler.ir.errors import MalformedModel, listed
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Constraint, KernelCall, Operator, Rounding, RowForm, Shape
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import NARROW, input_types, rank_at_most, same_input_output_type
from thimble.compiler.ops.copying import contiguous, copy_box, copy_rows, window
from thimble.compiler.ops.fill import fill_output
from thimble.compiler.ops.packed import as_bytes, fills_bytes
from thimble.compiler.ops.row_wise import independent_rows, one_row, passing_rows

Paddings = tuple[tuple[int, int], ...]


def stored_zero(site: Site) -> int:
    """How the output stores the real number 0: its zero point if it is int8, int4 or int2, 0 for the other types."""
    kind = site.output().type
    return kind.quant.zero_point if kind.dtype in NARROW and kind.quant is not None else 0


def zero_is_stored(site: Site) -> bool:
    """The zero point of an output must lie in the range of its type."""
    low, high = site.output().type.dtype.range if site.output().type.dtype in NARROW else (0, 0)
    return low <= stored_zero(site) <= high


def padded_shape(site: Site, paddings: Paddings) -> Shape:
    """The shape of input 0 with (before, after) elements added to each dimension; both must be 0 or more."""
    shape = site.input(0).type.shape
    if len(paddings) != len(shape):
        raise MalformedModel(f"{site.source} pads {len(paddings)} dimensions of a tensor with {len(shape)}.")
    if any(count < 0 for pair in paddings for count in pair):
        raise MalformedModel(f"{site.source} has a negative padding in {listed(paddings)}.")
    return tuple(before + dim + after for dim, (before, after) in zip(shape, paddings, strict=True))


def copy_inside(site: Site, paddings: Paddings) -> KernelCall:
    """Copy input 0 to its place inside of the padded output."""
    site = as_bytes(site)
    kind = site.input(0).type
    inside = window(site.output().type.shape, tuple(before for before, _ in paddings))
    return copy_box(kind.shape, contiguous(kind.shape), inside, kind.dtype.bytes)


def packed_pixels_whole(site: Site) -> bool:
    """int4 and int2 are padded by whole pixels, whose channels fill whole bytes."""
    x = site.input(0).type
    return not x.dtype.is_packed or (x.shape[-1:] == site.output().type.shape[-1:] and fills_bytes(x))


@dataclass(frozen=True, slots=True)
class ConstantPadding(Operator):
    """Base of the two: `paddings` holds (before, after) for each dimension; a subclass gives `fill`."""

    paddings: Paddings

    moves_values = True
    constraints: ClassVar[tuple[Constraint, ...]] = (
        input_types(*NARROW, DType.INT16, DType.INT32, DType.FLOAT32),
        same_input_output_type,
        rank_at_most(5),
        packed_pixels_whole,
    )
    takes_packed = True

    @abstractmethod
    def fill(self, site: Site) -> int | float:
        """The stored value of the elements around the input."""

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        return (padded_shape(site, self.paddings),)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        return (np.pad(inputs[0], self.paddings, constant_values=self.fill(site)),)

    def rows(self, site: Site) -> RowForm | None:
        if not self._pads_rows():
            return independent_rows(self, site)
        if any(any(pair) for pair in (*self.paddings[:-3], *self.paddings[-1:])):
            return None
        return passing_rows(site, [self.paddings[-3][0], *(0 for _ in site.inputs[1:])])

    def lower_rows(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        if not self._pads_rows():
            return self.lower(one_row(site), rounding)
        kind = site.input(0).type
        copy = copy_rows(kind, self.paddings[-3][0], self.paddings[-2][0] * kind.pixel_bytes)
        return (fill_output(one_row(site).output().type, self.fill(site)), copy)

    def _pads_rows(self) -> bool:
        return any(any(pair) for pair in self.paddings[:-2])

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        copy = copy_inside(site, self.paddings)
        if site.input(0).type.shape == site.output().type.shape:
            return (copy,)
        return (fill_output(site.output().type, self.fill(site)), copy)


@dataclass(frozen=True, slots=True)
class Pad(ConstantPadding):
    """The frame is the real number 0."""

    name = "pad"
    constraints = (*ConstantPadding.constraints, zero_is_stored)

    def fill(self, site: Site) -> int | float:
        return stored_zero(site)


@dataclass(frozen=True, slots=True)
class PadV2(ConstantPadding):
    """The frame is `value`, as it is stored."""

    value: int | float

    name = "padv2"
    takes_packed = False

    def fill(self, site: Site) -> int | float:
        return self.value
