"""ARG_MAX and ARG_MIN: where along an axis the extreme element lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Input, KernelCall, Operator, Output, Rounding, Shape
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.axes import wrap_axis
from thimble.compiler.ops.constraints import input_types, output_types


@dataclass(frozen=True, slots=True)
class ArgExtreme(Operator):
    """Output: the input's shape without `axis`, the index of the first extreme element along it."""

    axis: int

    moves_values = True
    constraints = (input_types(DType.INT8), output_types(DType.INT32))
    largest: ClassVar[bool]

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        shape = site.input(0).type.shape
        axis = wrap_axis(self.axis, len(shape), site.source)
        if 0 in shape:
            raise MalformedModel(f"{site.source} searches a tensor without elements, of shape {shape}.")
        return (shape[:axis] + shape[axis + 1 :],)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        search = np.argmax if self.largest else np.argmin
        return (np.asarray(search(inputs[0], axis=self.axis), np.int32),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        shape = site.input(0).type.shape
        axis = wrap_axis(self.axis, len(shape), site.source)
        call = KernelCall(
            kernel="arg_min_max_s8",
            params=(
                ("outer", prod(shape[:axis])),
                ("size", shape[axis]),
                ("inner", prod(shape[axis + 1 :])),
                ("largest", int(self.largest)),
            ),
            arguments=(Input(0), Output()),
        )
        return (call,)


@dataclass(frozen=True, slots=True)
class ArgMax(ArgExtreme):
    """The index of the largest element; of the first where several are equal."""

    name = "arg_max"
    largest = True


@dataclass(frozen=True, slots=True)
class ArgMin(ArgExtreme):
    """The index of the smallest element; of the first where several are equal."""

    name = "arg_min"
    largest = False
