"""Arguments that the generated kernels have in common."""

from __future__ import annotations

from thimble.compiler.ir.operator import Argument, EndRow, FirstRow, InputRows, KernelCall, OutputRows, Scratch


def row_arguments(*between: Argument) -> tuple[Argument, ...]:
    """Those of a kernel for output rows [first, end): input 0, what is `between`, the output, and which rows."""
    return (InputRows(0), *between, OutputRows(0), FirstRow(), EndRow())


def waiting_pixels(call: KernelCall) -> tuple[Scratch, ...]:
    """The scratch of a plain call that writes late, two output pixels, which is all that is needed; none of others."""
    return tuple(argument for argument in call.arguments if isinstance(argument, Scratch))
