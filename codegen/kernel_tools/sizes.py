"""A kernel call's numbers by name: shapes, strides, zero points, limits."""

from __future__ import annotations

from thimble.compiler.ir.operator import KernelCall

Sizes = dict[str, int]


def sizes_of(call: KernelCall) -> Sizes:
    """The parameters of a call that are single integers."""
    return {name: value for name, value in call.params if isinstance(value, int)}
