"""Windows that slide over rows and columns, row by row and over a part of the output alone: convolutions and pools."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from thimble.compiler.ir.graph import Role, Site
from thimble.compiler.ir.operator import (
    Argument,
    EndRow,
    FirstRow,
    Input,
    InputRows,
    KernelCall,
    Output,
    OutputRows,
    Overlap,
    RowForm,
    Span,
)
from thimble.compiler.ops.row_wise import MAX_STEPS, cut, one_row
from thimble.compiler.ops.window import Axis, ExplicitPadding

Axes = tuple[Axis, Axis]

SINGLE = Axis(input=1, kernel=1, stride=1, dilation=1, output=1, pad=0)
"""A window of a single row."""


def by_rows(call: KernelCall) -> KernelCall:
    """The call of a kernel that takes input 0 and the output as rows, and computes the output rows [first, end)."""
    rows: dict[Argument, Argument] = {Input(0): InputRows(0), Output(): OutputRows()}
    arguments = (rows.get(argument, argument) for argument in call.arguments)
    return replace(call, arguments=(*arguments, FirstRow(), EndRow()))


def window_rows(site: Site, axes: Axes, overlaps_of: Callable[[Site, Axes], tuple[Overlap, ...]]) -> RowForm | None:
    """One output row a step, from the rows under its windows; input 0 slides, other inputs are constant.

    `overlaps_of` gives the overlaps of a site and its windows. All rows of a window are read at the same columns, and
    to the end of each pixel: so an output row may lie over any of them as over a row that is alone under its window.
    """
    form = None
    if site.output().type.rows <= MAX_STEPS:
        under = [axes[0].reads((y, y + 1)) for y in range(axes[0].output)]
        form = rows_under(site, under, axes[0].input)
    return form and replace(form, overlaps=overlaps_of(one_row(site), (SINGLE, axes[1])))


def rows_under(site: Site, spans: list[Span], height: int) -> RowForm | None:
    """One output row a step, made of the rows `spans` of an image of `height` rows, the same in every image."""
    steps, x = site.output().type.rows, site.input(0)
    if steps > MAX_STEPS or x.role is Role.CONSTANT:
        return None
    images = range(0, x.type.rows, height)
    needs = tuple((image + first, image + end) for image in images for first, end in spans)
    return RowForm(steps, (needs, *(None for _ in site.inputs[1:])))


def window_columns(site: Site, axes: Axes, columns: Span) -> tuple[Span | None, ...] | None:
    """The columns under the windows of these output columns; None for batches and where a window may meet nothing."""
    x = site.input(0)
    if x.type.shape[0] != 1 or x.role in (Role.CONSTANT, Role.STATE) or not all(axis.meets_input for axis in axes):
        return None
    return (axes[1].reads(columns), *(None for _ in site.inputs[1:]))


def window_part(site: Site, axes: Axes, rows: Span, columns: Span) -> tuple[Site, ExplicitPadding]:
    """The node on a part of its output, and the padding that its operator has there."""
    x = cut(site.input(0), axes[0].reads(rows), axes[1].reads(columns))
    made = cut(site.output(), rows, columns)
    padding = ExplicitPadding(axes[0].margins(rows), axes[1].margins(columns))
    return replace(site, inputs=(x, *site.inputs[1:]), outputs=(made,)), padding
