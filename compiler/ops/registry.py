"""Every operator that Thimble knows, in one list."""

from __future__ import annotations

from thimble.compiler.ir.operator import Operator
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.fully_connected import FullyConnected

OPERATORS: tuple[type[Operator], ...] = (
    Conv2D,
    FullyConnected,
)
