"""RESHAPE, SQUEEZE and EXPAND_DIMS: the same elements in the same order under another shape."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from thimble.compiler.ir.errors import MalformedModel, listed
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Constraint, KernelCall, Operator, Rounding, RowForm, Shape
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.axes import wrap_axis
from thimble.compiler.ops.constraints import input_types, same_input_output_type
from thimble.compiler.ops.copying import copy_whole
from thimble.compiler.ops.packed import fills_bytes
from thimble.compiler.ops.row_wise import one_row, passing_rows


def same_bytes(site: Site) -> bool:
    """int4 and int2 must keep their last dimension, or fill whole bytes along it before and after."""
    given, made = site.input(0).type, site.output().type
    return given.shape[-1:] == made.shape[-1:] or (fills_bytes(given) and fills_bytes(made))


@dataclass(frozen=True, slots=True)
class Relabel(Operator):
    """Base of the operators that copy input 0 as it is; a subclass gives `new_shape`."""

    constraints: ClassVar[tuple[Constraint, ...]] = (same_input_output_type, same_bytes)
    takes_packed = True
    copied_input = 0
    moves_values = True

    @abstractmethod
    def new_shape(self, site: Site) -> Shape:
        """The output's shape, which holds as many elements as the input's."""

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        return (self.new_shape(site),)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        return (inputs[0].reshape(site.output().type.shape).copy(),)

    def rows(self, site: Site) -> RowForm | None:
        given, made = site.input(0).type, site.output().type
        alike = given.rows == made.rows and given.row_bytes == made.row_bytes
        return passing_rows(site, [0] * len(site.inputs)) if alike else None

    def lower_rows(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        return (copy_whole(one_row(site).output().type),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        return (copy_whole(site.output().type),)


@dataclass(frozen=True, slots=True)
class Reshape(Relabel):
    """Any shape of as many elements; one entry of `shape` may be -1 and takes what is left."""

    shape: tuple[int, ...]

    name = "reshape"

    def new_shape(self, site: Site) -> Shape:
        elements = site.input(0).type.elements
        known = prod(dim for dim in self.shape if dim != -1)
        stretched = self.shape.count(-1)
        if stretched > 1 or any(dim < -1 for dim in self.shape):
            raise MalformedModel(f"{site.source} asks for the impossible shape {listed(self.shape)}.")
        if stretched and known == 0:
            raise MalformedModel(f"{site.source} cannot tell the -1 in {listed(self.shape)}: there are no elements.")
        shape = tuple(elements // known if dim == -1 else dim for dim in self.shape)
        if prod(shape) != elements:
            raise MalformedModel(
                f"{site.source} reshapes {site.input(0).type.shape} to {listed(self.shape)}, "
                "which holds another number of elements."
            )
        return shape


@dataclass(frozen=True, slots=True)
class Squeeze(Relabel):
    """Drops the dimensions `axes`, which must be 1; all dimensions of 1 where there are none."""

    axes: tuple[int, ...]

    name = "squeeze"

    def new_shape(self, site: Site) -> Shape:
        shape = site.input(0).type.shape
        dropped = {wrap_axis(axis, len(shape), site.source) for axis in self.axes}
        if any(shape[axis] != 1 for axis in dropped):
            raise MalformedModel(f"{site.source} squeezes axes {listed(self.axes)} of {shape}, and not all are 1.")
        if not self.axes:
            dropped = {axis for axis, dim in enumerate(shape) if dim == 1}
        return tuple(dim for axis, dim in enumerate(shape) if axis not in dropped)


@dataclass(frozen=True, slots=True)
class ExpandDims(Relabel):
    """A new dimension of 1 before dimension `axis`, or after the last one."""

    axis: int

    name = "expand_dims"
    constraints = (input_types(DType.INT8, DType.INT16, DType.FLOAT32), same_input_output_type)

    def new_shape(self, site: Site) -> Shape:
        shape = site.input(0).type.shape
        axis = wrap_axis(self.axis, len(shape) + 1, site.source)
        return (*shape[:axis], 1, *shape[axis:])
