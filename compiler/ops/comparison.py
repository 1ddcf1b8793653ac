"""EQUAL, NOT_EQUAL, GREATER, GREATER_EQUAL, LESS and LESS_EQUAL with broadcasting; the output is bool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.binary import (
    BinaryOperator,
    Params,
    quantized_operands,
    rescale_to,
    same_operand_types,
    smaller_than_one,
)
from thimble.compiler.ops.constraints import input_types, output_types
from thimble.compiler.ops.fixed_point import Int64

_LEFT_SHIFT = 8  # bits that quantized inputs gain before they are brought to the scale 1


def scales_below_one(site: Site) -> bool:
    """int8 inputs must have scales below 1: TFLite Micro compares them at the scale 1."""
    return all(smaller_than_one(site.input(i).quant.scale) for i in range(2) if site.input(i).type.dtype is DType.INT8)


_COMMON = (same_operand_types, output_types(DType.BOOL), quantized_operands, scales_below_one)


@dataclass(frozen=True, slots=True)
class Comparison(BinaryOperator):
    """A comparison is what it answers where input 0 is less than, equal to and greater than input 1."""

    answers: ClassVar[tuple[int, int, int]]
    kernel = "compare"
    constraints = (input_types(DType.INT8, DType.INT32), *_COMMON)

    def compute(self, site: Site, a: Int64, b: Int64) -> Array:
        if site.input(0).type.dtype is DType.INT8:
            a, b = rescale_to(site, 1.0, _LEFT_SHIFT).apply(site, a, b)
        return np.asarray(np.array(self.answers, np.bool_)[np.sign(a - b) + 1])

    def real(self, a: Array, b: Array) -> Array:
        unordered = self.answers == (True, False, True)  # a NaN is unequal to everything, and neither less nor greater
        return np.select([a < b, a == b, a > b], [bool(answer) for answer in self.answers], unordered)

    def params(self, site: Site) -> Params:
        less, equal, greater = self.answers
        answers = (("less", less), ("equal", equal), ("greater", greater))
        if site.input(0).type.dtype is not DType.INT8:
            return answers
        return (*answers, *rescale_to(site, 1.0, _LEFT_SHIFT).params(site))


@dataclass(frozen=True, slots=True)
class Equal(Comparison):
    """input 0 == input 1."""

    name = "equal"
    answers = (0, 1, 0)
    constraints = (input_types(DType.INT8, DType.INT32, DType.BOOL), *_COMMON)


@dataclass(frozen=True, slots=True)
class NotEqual(Comparison):
    """input 0 != input 1."""

    name = "not_equal"
    answers = (1, 0, 1)
    constraints = (input_types(DType.INT8, DType.INT32, DType.BOOL), *_COMMON)


@dataclass(frozen=True, slots=True)
class Greater(Comparison):
    """input 0 > input 1."""

    name = "greater"
    answers = (0, 0, 1)


@dataclass(frozen=True, slots=True)
class GreaterEqual(Comparison):
    """input 0 >= input 1."""

    name = "greater_equal"
    answers = (0, 1, 1)


@dataclass(frozen=True, slots=True)
class Less(Comparison):
    """input 0 < input 1."""

    name = "less"
    answers = (1, 0, 0)


@dataclass(frozen=True, slots=True)
class LessEqual(Comparison):
    """input 0 <= input 1."""

    name = "less_equal"
    answers = (1, 1, 0)
