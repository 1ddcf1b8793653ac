"""Operators that are a function of one stored value, as the table of all results: what passes compare and compose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.graph import Role, Site
from thimble.compiler.ir.operator import Array, Rounding
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.binary import BinaryOperator
from thimble.compiler.ops.fixed_point import Int64
from thimble.compiler.ops.quantize import Quantize
from thimble.compiler.ops.unary import UnaryOperator

_TABULATED = (DType.INT8, DType.INT16)


@dataclass(frozen=True, slots=True, eq=False)
class ValueTable:
    """`results[i]` is the stored output of the i-th stored value of input `operand`, counted from the lowest."""

    operand: int
    results: Int64

    @property
    def lowest(self) -> int:
        """The lowest stored input value."""
        return -(len(self.results) // 2)

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest result."""
        return int(self.results.min()), int(self.results.max())

    @property
    def clamps(self) -> bool:
        """Whether the function is nothing but a clamp to its limits."""
        values = np.arange(self.lowest, -self.lowest)
        return bool((self.results == np.clip(values, *self.limits)).all())

    @property
    def is_identity(self) -> bool:
        """Whether every value becomes itself."""
        return self.clamps and self.limits == (self.lowest, -self.lowest - 1)


def value_table(site: Site) -> ValueTable | None:
    """The table of a node whose output and one changing input are int8, or int16; None where it is no such function.

    Those are the operators of one input, QUANTIZE, and those of two whose other input is one constant element.
    """
    if len(site.outputs) != 1 or site.output().type.dtype not in _TABULATED:
        return None
    operand = _operand(site)
    if operand is None or site.input(operand).type.dtype is not site.output().type.dtype:
        return None
    low, high = site.output().type.dtype.range
    values = np.arange(low, high + 1, dtype=site.output().type.dtype.numpy)
    inputs = [values if i == operand else _element(site, i) for i in range(len(site.inputs))]
    (results,) = site.op.reference(site, inputs, Rounding.TFLM)  # these operators round alike everywhere
    return ValueTable(operand, results.astype(np.int64))


def _operand(site: Site) -> int | None:
    """The input that the table is about."""
    if isinstance(site.op, (UnaryOperator, Quantize)):
        return 0
    if not isinstance(site.op, BinaryOperator):
        return None
    single = [value is not None and value.role is Role.CONSTANT and value.type.elements == 1 for value in site.inputs]
    if single not in ([False, True], [True, False]):
        return None
    operand = single.index(False)
    return operand if site.input(operand).type.shape == site.output().type.shape else None


def _element(site: Site, index: int) -> Array:
    return site.input(index).constant.reshape(-1)
