"""Functions of two plain numbers that no integer kernel computes: quotients, powers, logic. For float models alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array
from thimble.compiler.ops.binary import BinaryOperator, Params
from thimble.compiler.ops.constraints import no_kernel
from thimble.compiler.ops.fixed_point import Int64


class Arithmetic(Enum):
    """What is computed of a and b."""

    DIVIDE = "divide"
    POWER = "power"
    REMAINDER = "remainder"  # with the sign of b
    FLOAT_REMAINDER = "float_remainder"  # with the sign of a
    AND = "and"
    OR = "or"
    XOR = "xor"
    SHIFT_LEFT = "shift_left"
    SHIFT_RIGHT = "shift_right"


@dataclass(frozen=True, slots=True)
class BinaryArithmetic(BinaryOperator):
    """`function` of input 0 and input 1, broadcast to each other; AND, OR and XOR work on each bit of integers."""

    function: Arithmetic

    name = "binary_arithmetic"
    kernel = "none"
    constraints = (no_kernel,)

    def real(self, a: Array, b: Array) -> Array:
        if self.function is Arithmetic.DIVIDE and a.dtype.kind in "iu":
            return _truncated_quotient(a, b)
        return np.asarray(_FUNCTIONS[self.function](a, b))

    def compute(self, site: Site, a: Int64, b: Int64) -> Array:
        raise NotImplementedError(f"{self.name} takes plain numbers alone")

    def params(self, site: Site) -> Params:
        raise NotImplementedError(f"{self.name} has no kernel")


def _truncated_quotient(a: Array, b: Array) -> Array:
    """The quotient of integers cut towards zero, as in C; of a division by 0 it is 0."""
    divisor = np.where(b == 0, np.ones_like(b), b)
    quotient = a // divisor
    inexact = (quotient * divisor != a) & ((a < 0) != (divisor < 0))
    return np.asarray(np.where(b == 0, np.zeros_like(quotient), quotient + inexact))


def _shifted_left(a: Array, b: Array) -> Array:
    """A shift by as many bits as the type has, or more, leaves nothing."""
    bits = 8 * a.dtype.itemsize
    return np.asarray(np.where(b < bits, np.left_shift(a, np.minimum(b, bits - 1)), np.zeros_like(a)))


def _shifted_right(a: Array, b: Array) -> Array:
    """The same; of signed integers the sign is left."""
    bits = 8 * a.dtype.itemsize
    shifted = np.right_shift(a, np.minimum(b, bits - 1))
    return np.asarray(shifted if a.dtype.kind == "i" else np.where(b < bits, shifted, np.zeros_like(a)))


_FUNCTIONS: dict[Arithmetic, Callable[[Array, Array], Array]] = {
    Arithmetic.DIVIDE: np.divide,
    Arithmetic.POWER: lambda a, b: np.power(a, b.astype(a.dtype)) if a.dtype.kind == "f" else np.power(a * 1.0, b),
    Arithmetic.REMAINDER: np.mod,
    Arithmetic.FLOAT_REMAINDER: np.fmod,
    Arithmetic.AND: np.bitwise_and,
    Arithmetic.OR: np.bitwise_or,
    Arithmetic.XOR: np.bitwise_xor,
    Arithmetic.SHIFT_LEFT: _shifted_left,
    Arithmetic.SHIFT_RIGHT: _shifted_right,
}
