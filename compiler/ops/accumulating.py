"""Operators that take an input row by row and give their whole output after the last one."""

from __future__ import annotations

from dataclasses import replace

from thimble.compiler.ir.graph import Role, Site, Value
from thimble.compiler.ir.operator import (
    Accumulator,
    Argument,
    EndRow,
    FirstRow,
    Input,
    InputRows,
    KernelCall,
    Output,
    Overlap,
    ParamValue,
    RowForm,
    Span,
)
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.packed import is_packed, packed_call
from thimble.compiler.ops.row_wise import MAX_STEPS

_INT16_MAX = 0x7FFF


def accumulated_rows(site: Site, accumulator: Accumulator) -> RowForm | None:
    """One row of input 0 a step, all of the others; None where input 0 has one row or the output more than that.

    The last step reads its row before it writes: so the output may lie over that row wherever it likes.
    """
    x = site.input(0)
    if x.role is Role.CONSTANT or not 1 < x.type.rows <= MAX_STEPS or site.output().type.rows != 1:
        return None
    steps = x.type.rows

    def whole(value: Value | None) -> tuple[Span, ...] | None:
        return None if value is None or value.role is Role.CONSTANT else ((0, value.type.rows),) * steps

    needs = (tuple((row, row + 1) for row in range(steps)), *map(whole, site.inputs[1:]))
    return RowForm(steps, needs, accumulator.bytes, (Overlap(0, -x.type.row_bytes),))


def accumulating(call: KernelCall, accumulator: Accumulator) -> KernelCall:
    """`call` with input 0 as rows, and an accumulator in front of the output."""
    arguments: list[Argument] = []
    for argument in call.arguments:
        if argument == Input(0):
            arguments.append(InputRows(0))
        elif argument == Output():
            arguments += [accumulator, argument]
        else:
            arguments.append(argument)
    return replace(call, arguments=(*arguments, FirstRow(), EndRow()))


def accumulating_call(
    site: Site, family: str, suffix: str, params: tuple[tuple[str, ParamValue], ...], accumulator: Accumulator
) -> KernelCall:
    """The call of kernel `family`_`suffix`, of its instance for packed types where that is "packed"."""
    arguments = (Input(0), Output())
    if suffix != "packed":
        return accumulating(KernelCall(f"{family}_{suffix}", params, arguments), accumulator)
    given, made = site.input(0).type.dtype, site.output().type.dtype
    widths = (given, made) if family.startswith("reduce_sum") else (given,)
    return accumulating(packed_call(family, widths, params, arguments), accumulator)


def channel_sums(site: Site) -> tuple[Accumulator, str]:
    """Sums over all pixels of input 0 for each channel, in the smallest type that holds them, and its suffix.

    Every partial sum of int8 fits 16 bits where all pixels together do.
    """
    type_ = site.input(0).type
    channels, pixels = type_.shape[-1], type_.rows * type_.columns
    if is_packed(site):
        return Accumulator(channels * 4), "packed"
    if type_.dtype is DType.INT8 and pixels * -type_.dtype.range[0] <= _INT16_MAX:
        return Accumulator(channels * 2, "int16_t"), "s8_s16"
    return Accumulator(channels * 4), "s8_s32" if type_.dtype is DType.INT8 else "s16_s32"


def channel_maxima(site: Site) -> tuple[Accumulator, str]:
    """The largest value so far of each channel of input 0, and the suffix of its type; packed values become int32."""
    type_ = site.input(0).type
    if type_.dtype.is_packed:
        return Accumulator(type_.shape[-1] * 4), "packed"
    accumulator = Accumulator(type_.shape[-1] * type_.dtype.bytes, type_.dtype.c_name)
    return accumulator, "s8" if type_.dtype is DType.INT8 else "s16"


def image_params(site: Site) -> tuple[tuple[str, ParamValue], ...]:
    """The sizes of input 0 as an image of rows and columns."""
    type_ = site.input(0).type
    return (("input_height", type_.rows), ("input_width", type_.columns), ("channels", type_.shape[-1]))
