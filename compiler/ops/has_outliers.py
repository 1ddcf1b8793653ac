"""HAS_OUTLIERS: whether any value of a tensor lies outside of a range. Thimble's own; in TFLite files, CUSTOM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Input, KernelCall, Operator, Output, Rounding, Shape
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import input_types, output_types


def one_sample(site: Site) -> bool:
    """The input must have a first dimension, of size 1: it is the sample that the flag belongs to."""
    return site.input(0).type.shape[:1] == (1,)


@dataclass(frozen=True, slots=True)
class HasOutliers(Operator):
    """Whether any element of the input, as it is stored, is less than `low` or greater than `high`.

    One bool for each index of the first dimension; the output keeps all others, of size 1.
    """

    low: int
    high: int

    name = "has_outliers"
    constraints = (input_types(DType.INT8), output_types(DType.BOOL), one_sample)

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        shape = site.input(0).type.shape
        return ((*shape[:1], *(1 for _ in shape[1:])),)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        outside = (inputs[0] < self.low) | (inputs[0] > self.high)
        return (np.asarray(outside.any(axis=tuple(range(1, outside.ndim)), keepdims=True)),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        params = (("count", site.input(0).type.elements), ("low", self.low), ("high", self.high))
        return (KernelCall("has_outliers_s8", params, (Input(0), Output())),)
