"""Arguments that the generated kernels have in common."""

from __future__ import annotations

from thimble.compiler.ir.operator import Argument, EndRow, FirstRow, InputRows, OutputRows


def row_arguments(*between: Argument) -> tuple[Argument, ...]:
    """Those of a kernel for output rows [first, end): input 0, what is `between`, the output, and which rows."""
    return (InputRows(0), *between, OutputRows(0), FirstRow(), EndRow())
