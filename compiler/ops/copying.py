"""Lowering of data movement: boxes of elements copied between strided layouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from thimble.compiler.ir.operator import EndRow, FirstRow, Input, InputRows, KernelCall, Output, OutputRows, Shape
from thimble.compiler.ir.types import MAX_RANK, TensorType


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the elements of a box lie in a tensor: a step for each dimension and the first element's offset."""

    strides: tuple[int, ...]
    offset: int = 0


def contiguous(shape: Shape) -> Layout:
    """The layout of a whole tensor of `shape`, last dimension fastest."""
    return Layout(tuple(prod(shape[axis + 1 :]) for axis in range(len(shape))))


def window(shape: Shape, begin: Shape, steps: Shape | None = None) -> Layout:
    """Every `steps`-th element from `begin` on, along each dimension of a tensor of `shape`."""
    strides = contiguous(shape).strides
    offset = sum(first * stride for first, stride in zip(begin, strides, strict=True))
    steps = steps or (1,) * len(shape)
    return Layout(tuple(step * stride for step, stride in zip(steps, strides, strict=True)), offset)


def copy_box(
    shape: Shape,
    source: Layout,
    destination: Layout,
    element_bytes: int,
    arguments: tuple[Input | Output, Input | Output] = (Input(0), Output()),
) -> KernelCall:
    """Copy a box of `shape` elements from the layout in the first argument to that in the second.

    Dimensions that continue each other in both layouts become one, and those that lie contiguous in both
    become a run of bytes, so at most MAX_RANK loops are left for a box of up to MAX_RANK + 1 dimensions.
    """
    dims = _merge(shape, source, destination)
    run = 1
    if dims and dims[-1][1:] == (1, 1):
        run = dims.pop()[0]
    if prod(shape) == 0:
        dims, run = [(0, 0, 0)], 0
    if len(dims) > MAX_RANK:
        raise ValueError(f"a box of shape {shape} needs {len(dims)} loops to copy")
    dims = [(1, 0, 0)] * (MAX_RANK - len(dims)) + dims
    return KernelCall(
        kernel="copy_strided",
        params=(
            ("run_bytes", run * element_bytes),
            ("sizes", tuple(size for size, _, _ in dims)),
            ("source_steps", tuple(step * element_bytes for _, step, _ in dims)),
            ("destination_steps", tuple(step * element_bytes for _, _, step in dims)),
            ("source_offset", source.offset * element_bytes),
            ("destination_offset", destination.offset * element_bytes),
        ),
        arguments=arguments,
    )


def copy_whole(type: TensorType, arguments: tuple[Input | Output, Input | Output] = (Input(0), Output())) -> KernelCall:
    """Copy all elements of a tensor of `type`, in order, from the first argument to the second."""
    box = (type.bytes,)
    return copy_box(box, contiguous(box), contiguous(box), 1, arguments)


def copy_rows(type: TensorType, begin: int, offset: int, index: int = 0) -> KernelCall:
    """Copy the rows of input `index`, of `type`, to the output's rows from `begin` on, `offset` bytes into each."""
    return KernelCall(
        kernel="copy_rows",
        params=(("begin", begin), ("rows", type.rows), ("bytes", type.row_bytes), ("offset", offset)),
        arguments=(InputRows(index), OutputRows(), FirstRow(), EndRow()),
    )


def copy_parts(
    whole: Shape,
    axis: int,
    sizes: Sequence[int],
    element_bytes: int,
    arguments: Sequence[tuple[Input, Output]],
    join: bool,
) -> tuple[KernelCall, ...]:
    """One copy for each part of a tensor of shape `whole` that is cut along `axis` into `sizes`.

    `join` copies the parts into the whole, otherwise the whole is copied out into the parts.
    """
    calls = []
    begin = 0
    for size, pointers in zip(sizes, arguments, strict=True):
        shape = (*whole[:axis], size, *whole[axis + 1 :])
        part = contiguous(shape)
        inside = window(whole, (*(0 for _ in whole[:axis]), begin, *(0 for _ in whole[axis + 1 :])))
        source, destination = (part, inside) if join else (inside, part)
        calls.append(copy_box(shape, source, destination, element_bytes, pointers))
        begin += size
    return tuple(calls)


def _merge(shape: Shape, source: Layout, destination: Layout) -> list[tuple[int, int, int]]:
    """(size, source step, destination step) of the fewest loops that visit the box in order."""
    merged: list[tuple[int, int, int]] = []
    for size, from_step, to_step in zip(shape, source.strides, destination.strides, strict=True):
        if size == 1:
            continue
        if merged:
            outer, outer_from, outer_to = merged[-1]
            if outer_from == from_step * size and outer_to == to_step * size:
                merged[-1] = (outer * size, from_step, to_step)
                continue
        merged.append((size, from_step, to_step))
    return merged
