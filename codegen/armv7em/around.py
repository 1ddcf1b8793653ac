"""Kernels that are made around others: their arguments, as both have them, and the scratch of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from thimble.compiler.ir.operator import Argument, EndRow, FirstRow, Input, InputRows, OutputRows, Scratch, Table

SCRATCH_ALIGNMENT = 8
"""Of each scratch of a call, where there are several."""

_SCRATCHES = ("scratch", "unpacked")
"""Names of a call's scratch, and of that of the kernel around it."""


def aligned_bytes(scratch_bytes: int) -> int:
    """What a scratch takes where another one lies behind it."""
    return -(-scratch_bytes // SCRATCH_ALIGNMENT) * SCRATCH_ALIGNMENT


def with_scratch(arguments: Sequence[Argument], scratch_bytes: int) -> tuple[Argument, ...]:
    """The arguments of a kernel, and behind them the scratch of the one around it."""
    own = (
        replace(argument, bytes=aligned_bytes(argument.bytes)) if isinstance(argument, Scratch) else argument
        for argument in arguments
    )
    return (*own, Scratch(scratch_bytes, "uint32_t"))


def declarations(arguments: Sequence[Argument]) -> tuple[tuple[str, str], ...]:
    """Each argument of a kernel of rows as C declares it, and its name."""
    scratches = iter(_SCRATCHES)
    return tuple(_declaration(argument, scratches.__next__) for argument in arguments)


def _declaration(argument: Argument, next_scratch: Callable[[], str]) -> tuple[str, str]:
    if isinstance(argument, InputRows):
        return "const thimble_rows *input", "input"
    if isinstance(argument, OutputRows):
        return "const thimble_rows *output", "output"
    if isinstance(argument, FirstRow):
        return "int32_t first", "first"
    if isinstance(argument, EndRow):
        return "int32_t end", "end"
    if isinstance(argument, Scratch):
        name = next_scratch()
        return f"{argument.dtype} *{name}", name
    if isinstance(argument, Table):
        return f"const {argument.data.dtype.name}_t *{argument.name}", argument.name
    if argument == Input(2):
        return "const int32_t *bias", "bias"
    raise ValueError(f"{argument} has no place in a kernel of rows")
