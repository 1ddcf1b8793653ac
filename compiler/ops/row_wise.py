"""Operators whose output rows are made of one row of each operand: how they run row by row, and over a part alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from thimble.compiler.ir.graph import Role, Site, Value, constant
from thimble.compiler.ir.operator import Array, KernelCall, Operator, Rounding, RowForm, Span
from thimble.compiler.ir.types import TensorType

MAX_STEPS = 1 << 14
"""Nodes of more rows run whole: offsets of rows have 16 bits in units of 4 bytes, so no arena could hold more."""


@dataclass(frozen=True, slots=True)
class RowWiseOperator(Operator):
    """Row r of every output is made of one row of each operand, in which columns do not mix.

    The kernels work on one row as they do on whole tensors: `lower` of a site of one row is what a step runs.
    """

    def rows(self, site: Site) -> RowForm | None:
        return independent_rows(self, site)

    def lower_rows(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        return self.lower(one_row(site), rounding)

    def needed_columns(self, site: Site, columns: Span) -> tuple[Span | None, ...] | None:
        return matching_columns(self, site, columns)

    def restricted(self, site: Site, rows: Span, columns: Span) -> Site:
        return matching_part(site, rows, columns)


def independent_rows(op: Operator, site: Site) -> RowForm | None:
    """Row by row, where every operand has one row for all outputs' rows or its rows pass by in order.

    None also where a constant has several rows: kernels are handed constants whole.
    """
    steps = {value.type.rows for value in site.outputs}
    if len(steps) != 1 or max(steps) > MAX_STEPS or _has_empty(site):
        return None
    needs: list[tuple[Span, ...] | None] = []
    for value in site.inputs:
        if value is None or value.role is Role.CONSTANT:
            if value is not None and value.type.rows > 1:
                return None
            needs.append(None)
            continue
        made_of = _rows_made_of(value.type, site.output().type)
        if made_of is None:
            return None
        needs.append(tuple((row, row + 1) for row in made_of))
    overlaps = tuple(overlap for overlap in op.overlaps(one_row(site)) if needs[overlap.input] is not None)
    return RowForm(max(steps), tuple(needs), overlaps=overlaps)


def passing_rows(site: Site, firsts: Sequence[int]) -> RowForm | None:
    """Each output row copies at most one row of one input: row 0 of input i is the output's row `firsts[i]`.

    None where rows are more than one dimension.
    """
    steps = site.output().type.rows
    if steps > MAX_STEPS or _has_empty(site) or not has_image(site.output().type):
        return None

    def passing(value: Value | None, begin: int) -> tuple[Span, ...] | None:
        if value is None or value.role is Role.CONSTANT:
            return None
        rows = value.type.rows
        ends = [min(max(row - begin, 0), rows) for row in range(steps + 1)]
        return tuple(pairwise(ends))

    return RowForm(steps, tuple(passing(value, begin) for value, begin in zip(site.inputs, firsts, strict=True)))


def one_row(site: Site) -> Site:
    """The same node on values of one row each."""

    def row_of(value: Value) -> Value:
        shape = value.type.shape
        shape = (1,) * (len(shape) - 2) + shape[-2:] if len(shape) > 2 else shape
        return value if shape == value.type.shape else replace(value, type=replace(value.type, shape=shape), data=None)

    return replace(
        site,
        inputs=tuple(None if value is None else row_of(value) for value in site.inputs),
        outputs=tuple(map(row_of, site.outputs)),
    )


def matching_columns(op: Operator, site: Site, columns: Span) -> tuple[Span | None, ...] | None:
    """The same columns of every operand, or its only one; None where a value is no image of rows and columns."""
    values = [v for v in (*site.inputs, *site.outputs) if v is not None and v.role is not Role.CONSTANT]
    if len(site.output().type.shape) < 3 or not all(has_image(value.type) for value in values) or op.rows(site) is None:
        return None
    if any(v is not None and v.role is Role.STATE for v in site.inputs):
        return None
    return tuple(
        None if value is None or value.role is Role.CONSTANT else columns if value.type.columns > 1 else (0, 1)
        for value in site.inputs
    )


def matching_part(site: Site, rows: Span, columns: Span) -> Site:
    """The node on these rows and columns of every value; what has only one of either keeps it."""
    return replace(
        site,
        inputs=tuple(None if value is None else cut(value, rows, columns) for value in site.inputs),
        outputs=tuple(cut(value, rows, columns) for value in site.outputs),
    )


def cut(value: Value, rows: Span, columns: Span) -> Value:
    """These rows and columns of a value; a dimension of 1 is stretched to any of them and stays.

    Constants of rank 2 are cut along the columns that they are stretched to.
    """
    shape = value.type.shape
    spans = [(0, dim) for dim in shape]
    for axis, span in ((-3, rows), (-2, columns)):
        if len(shape) >= -axis and shape[axis] > 1:
            spans[axis] = span
    kept = tuple(end - first for first, end in spans)
    if kept == shape:
        return value
    type_ = replace(value.type, shape=kept)
    if value.role is not Role.CONSTANT:
        return replace(value, type=type_, data=None)
    return constant(value.name, value.constant[tuple(slice(*span) for span in spans)], type_)


def has_image(type_: TensorType) -> bool:
    """Whether rows and columns are two dimensions of a tensor, or it has one of each."""
    shape = type_.shape
    return type_.rows == shape[-3] if len(shape) > 2 else len(shape) < 2 or shape[0] == 1


def _rows_made_of(operand: TensorType, made: TensorType) -> list[int] | None:
    """For each output row, the operand's row that is broadcast to it; None where they do not pass by in order."""
    if operand.rows == 1:
        return [0] * made.rows
    outer = made.shape[:-2]
    numbers: Array = np.arange(operand.rows).reshape(operand.shape[:-2])
    if len(operand.shape) > len(made.shape) or any(
        size not in (1, wanted) for size, wanted in zip(numbers.shape[::-1], outer[::-1], strict=False)
    ):
        return None
    rows = np.broadcast_to(numbers, outer).reshape(-1)
    return None if (np.diff(rows) < 0).any() else [int(row) for row in rows]


def _has_empty(site: Site) -> bool:
    return any(value is not None and not value.type.elements for value in (*site.inputs, *site.outputs))
