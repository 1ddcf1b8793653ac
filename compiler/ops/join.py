"""CONCATENATION and PACK: tensors set side by side."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from thimble.compiler.ir.errors import MalformedModel, listed
from thimble.compiler.ir.graph import Role, Site
from thimble.compiler.ir.operator import Array, Input, KernelCall, Operator, Output, Rounding, RowForm, Shape, Span
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.axes import wrap_axis
from thimble.compiler.ops.constraints import NARROW, input_types, same_types
from thimble.compiler.ops.copying import copy_parts, copy_rows
from thimble.compiler.ops.packed import as_bytes, fills_bytes, is_packed
from thimble.compiler.ops.row_wise import independent_rows, matching_columns, matching_part, one_row, passing_rows


def at_most_ten_inputs(site: Site) -> bool:
    """At most 10 tensors can be concatenated: TFLite Micro takes no more."""
    return len(site.inputs) <= 10


def one_quantization(site: Site) -> bool:
    """Inputs and output must have the same scale and zero point where they are int8 or narrower; int16 zero point 0."""
    values = [value for value in (*site.inputs, *site.outputs) if value is not None]
    if values[0].type.dtype in NARROW:
        return len({value.type.quant for value in values}) == 1
    zeros = {zero for value in values if value.type.quant for zero in value.type.quant.zero_points}
    return values[0].type.dtype is not DType.INT16 or zeros <= {0}


def packed_parts(site: Site) -> bool:
    """int4 and int2 must be computed, and fill whole bytes along the last dimension if that is joined."""
    inputs = [value for value in site.inputs if value is not None]
    rank = len(site.output().type.shape)
    channels = isinstance(site.op, Join) and wrap_axis(site.op.axis, rank, site.source) == rank - 1
    cut = all(v.role is not Role.CONSTANT and (fills_bytes(v.type) or not channels) for v in inputs)
    return cut or not is_packed(site)


@dataclass(frozen=True, slots=True)
class Join(Operator):
    """Base of the two: inputs of any number become parts of the output along `axis`."""

    axis: int

    moves_values = True

    @abstractmethod
    def part_size(self, shape: Shape) -> int:
        """How many slices of the output along the axis an input of `shape` fills."""

    def _input_shapes(self, site: Site) -> list[Shape]:
        shapes = [site.input(i).type.shape for i in range(len(site.inputs))]
        if not shapes:
            raise MalformedModel(f"{site.source} has no inputs.")
        return shapes

    def _axis(self, site: Site) -> int:
        return wrap_axis(self.axis, len(site.output().type.shape), site.source)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        axis, whole = self._axis(site), site.output().type.shape
        parts = [x.reshape(*whole[:axis], self.part_size(x.shape), *whole[axis + 1 :]) for x in inputs]
        return (np.concatenate(parts, axis),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        if is_packed(site):
            return self.lower(as_bytes(site), rounding)
        kind = site.output().type
        sizes = [self.part_size(shape) for shape in self._input_shapes(site)]
        arguments = [(Input(i), Output()) for i in range(len(sizes))]
        return copy_parts(kind.shape, self._axis(site), sizes, kind.dtype.bytes, arguments, join=True)


@dataclass(frozen=True, slots=True)
class Concatenation(Join):
    """Inputs of one shape but for their size along `axis`."""

    name = "concatenation"
    constraints = (
        input_types(*NARROW, DType.INT16, DType.INT32, DType.INT64, DType.BOOL, DType.FLOAT32),
        same_types,
        one_quantization,
        at_most_ten_inputs,
        packed_parts,
    )
    takes_packed = True

    def part_size(self, shape: Shape) -> int:
        return shape[self.axis]

    def rows(self, site: Site) -> RowForm | None:
        behind = len(site.output().type.shape) - self._axis(site)
        if behind <= 2:  # channels or columns
            return independent_rows(self, site)
        return passing_rows(site, self._first_rows(site)) if behind == 3 else None

    def lower_rows(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        if len(site.output().type.shape) - self._axis(site) <= 2:
            return self.lower(one_row(site), rounding)
        types = [site.input(i).type for i in range(len(site.inputs))]
        firsts = self._first_rows(site)
        return tuple(copy_rows(type_, first, 0, i) for i, (type_, first) in enumerate(zip(types, firsts, strict=True)))

    def needed_columns(self, site: Site, columns: Span) -> tuple[Span | None, ...] | None:
        channels = self._axis(site) == len(site.output().type.shape) - 1
        return matching_columns(self, site, columns) if channels else None

    def restricted(self, site: Site, rows: Span, columns: Span) -> Site:
        return matching_part(site, rows, columns)

    def _first_rows(self, site: Site) -> list[int]:
        """The output row with which each input begins, joined along rows."""
        return [0, *accumulate(site.input(i).type.rows for i in range(len(site.inputs) - 1))]

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        shapes = self._input_shapes(site)
        axis = wrap_axis(self.axis, len(shapes[0]), site.source)
        rest = {(shape[:axis], shape[axis + 1 :]) for shape in shapes}
        if len({len(shape) for shape in shapes}) != 1 or len(rest) != 1:
            raise MalformedModel(f"{site.source} concatenates the shapes {listed(shapes)} along axis {axis}.")
        total = sum(shape[axis] for shape in shapes)
        return ((*shapes[0][:axis], total, *shapes[0][axis + 1 :]),)


@dataclass(frozen=True, slots=True)
class Pack(Join):
    """Inputs of one shape, stacked along a new `axis`."""

    name = "pack"
    constraints = (
        input_types(DType.INT8, DType.INT16, DType.INT32, DType.INT64, DType.FLOAT32),
        same_types,
    )

    def part_size(self, shape: Shape) -> int:
        return 1

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        shapes = self._input_shapes(site)
        if len(set(shapes)) != 1:
            raise MalformedModel(f"{site.source} packs tensors of different shapes: {listed(shapes)}.")
        axis = wrap_axis(self.axis, len(shapes[0]) + 1, site.source)
        return ((*shapes[0][:axis], len(shapes), *shapes[0][axis:]),)
