"""MINIMUM and MAXIMUM of two inputs with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.binary import BinaryOperator, Params
from thimble.compiler.ops.constraints import input_types, same_types
from thimble.compiler.ops.fixed_point import Int64


@dataclass(frozen=True, slots=True)
class Extremum(BinaryOperator):
    """One of two stored values; scales and zero points play no part, as in TFLite Micro."""

    take_larger: ClassVar[int]
    kernel = "extremum"
    constraints = (input_types(DType.INT8, DType.INT16, DType.INT32), same_types)

    def compute(self, site: Site, a: Int64, b: Int64) -> Array:
        return np.maximum(a, b) if self.take_larger else np.minimum(a, b)

    def real(self, a: Array, b: Array) -> Array:
        return np.maximum(a, b) if self.take_larger else np.minimum(a, b)

    def params(self, site: Site) -> Params:
        return (("take_larger", self.take_larger),)


@dataclass(frozen=True, slots=True)
class Minimum(Extremum):
    """The smaller one of input 0 and input 1, broadcast to each other, by their stored values."""

    name = "minimum"
    take_larger = 0


@dataclass(frozen=True, slots=True)
class Maximum(Extremum):
    """The larger one of input 0 and input 1, broadcast to each other, by their stored values."""

    name = "maximum"
    take_larger = 1
