"""A kernel call's numbers by name: shapes, strides, zero points, limits."""

from __future__ import annotations

from collections.abc import Sequence

from thimble.compiler.ir.operator import KernelCall
from thimble.compiler.ops.window import WINDOW, WINDOW_FIELDS

Sizes = dict[str, int]

_SIDES = ("height", "width")


def sizes_of(call: KernelCall) -> Sizes:
    """The parameters of a call that are single integers; fields of its window are named like all others."""
    return {name.removeprefix(WINDOW): value for name, value in call.params if isinstance(value, int)}


def window_of(sizes: Sizes) -> tuple[tuple[str, int], ...]:
    """The window alone as parameters of a kernel that has one."""
    return tuple((WINDOW + name, sizes[name]) for name in WINDOW_FIELDS)


def window_kernel_params(sizes: Sizes, dropped: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """All sizes but the dropped ones as parameters of a kernel with a window."""
    kept = ((name, value) for name, value in sizes.items() if name not in dropped)
    return tuple((WINDOW + name if name in WINDOW_FIELDS else name, value) for name, value in kept)


def keeps_pixels(sizes: Sizes) -> bool:
    """Whether each pixel of the output is made from the same one of the input, and there are no others."""
    ones = ("kernel_height", "kernel_width", "stride_height", "stride_width")
    same = all(sizes[f"input_{side}"] == sizes[f"output_{side}"] for side in _SIDES)
    return all(sizes[name] == 1 for name in ones) and same and not (sizes["pad_top"] or sizes["pad_left"])


def are_pixels_inside(sizes: Sizes) -> bool:
    """Whether windows, of one pixel each, all lie inside of the input."""
    reach = ((sizes[f"output_{side}"] - 1) * sizes[f"stride_{side}"] < sizes[f"input_{side}"] for side in _SIDES)
    return sizes["pad_top"] == sizes["pad_left"] == 0 and all(reach)
