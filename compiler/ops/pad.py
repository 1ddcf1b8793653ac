"""PAD and PADV2: a tensor framed with one value."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.compiler.ir.errors import MalformedModel, listed
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Constraint, KernelCall, Operator, Rounding, Shape
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import input_types, rank_at_most, same_input_output_type
from thimble.compiler.ops.copying import contiguous, copy_box, window
from thimble.compiler.ops.fill import fill_output

Paddings = tuple[tuple[int, int], ...]


def stored_zero(site: Site) -> int:
    """How the output stores the real number 0: its zero point if it is int8, 0 for the other types."""
    kind = site.output().type
    return kind.quant.zero_point if kind.dtype is DType.INT8 and kind.quant is not None else 0


def zero_is_stored(site: Site) -> bool:
    """An int8 output must have a zero point in [-128, 127]."""
    return -128 <= stored_zero(site) <= 127


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
    kind = site.input(0).type
    inside = window(site.output().type.shape, tuple(before for before, _ in paddings))
    return copy_box(kind.shape, contiguous(kind.shape), inside, kind.dtype.bytes)


@dataclass(frozen=True, slots=True)
class ConstantPadding(Operator):
    """Base of the two: `paddings` holds (before, after) for each dimension; a subclass gives `fill`."""

    paddings: Paddings

    moves_values = True
    constraints: ClassVar[tuple[Constraint, ...]] = (
        input_types(DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32),
        same_input_output_type,
        rank_at_most(5),
    )

    @abstractmethod
    def fill(self, site: Site) -> int | float:
        """The stored value of the elements around the input."""

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        return (padded_shape(site, self.paddings),)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        return (np.pad(inputs[0], self.paddings, constant_values=self.fill(site)),)

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

    def fill(self, site: Site) -> int | float:
        return self.value
