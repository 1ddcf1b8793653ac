"""CAST: a change of element type that keeps the number, whatever the quantization says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Input, KernelCall, Operator, Output, Rounding, Shape
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import input_types, output_types

TYPES = (DType.INT8, DType.INT16, DType.INT32, DType.BOOL, DType.FLOAT32)
"""The element types that TFLite Micro casts among; the kernel knows each by its place in this list."""


@dataclass(frozen=True, slots=True)
class Cast(Operator):
    """Output of the input's shape.

    Integers wrap into a smaller type, float32 is cut towards zero and saturates (NaN gives 0), and anything
    but 0 is true.
    """

    name = "cast"
    moves_values = True
    constraints = (input_types(*TYPES), output_types(*TYPES))

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        return (site.input(0).type.shape,)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        made = site.output().type.dtype
        if site.input(0).type.dtype is DType.FLOAT32 and made not in (DType.FLOAT32, DType.BOOL):
            low, high = made.range
            # float64 holds every float32 and every limit; float32 would round INT32_MAX up.
            return (np.clip(np.nan_to_num(inputs[0].astype(np.float64)), low, high).astype(made.numpy),)
        return (inputs[0].astype(made.numpy),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        given, made = site.input(0).type, site.output().type
        call = KernelCall(
            kernel="cast",
            params=(
                ("count", given.elements),
                ("input_type", TYPES.index(given.dtype)),
                ("output_type", TYPES.index(made.dtype)),
            ),
            arguments=(Input(0), Output()),
        )
        return (call,)
