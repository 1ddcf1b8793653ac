"""TRANSPOSE: dimensions in another order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.errors import MalformedModel, listed
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, KernelCall, Operator, Rounding, Shape
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import input_types, rank_at_most, same_input_output_type
from thimble.compiler.ops.copying import Layout, contiguous, copy_box


@dataclass(frozen=True, slots=True)
class Transpose(Operator):
    """Dimension i of the output is dimension `permutation[i]` of the input."""

    permutation: tuple[int, ...]

    name = "transpose"
    moves_values = True
    constraints = (
        input_types(DType.INT8, DType.INT16, DType.FLOAT32),
        same_input_output_type,
        rank_at_most(5),
    )

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        shape = site.input(0).type.shape
        if sorted(self.permutation) != list(range(len(shape))):
            raise MalformedModel(f"{site.source}: {listed(self.permutation)} is no order of {len(shape)} dimensions.")
        return (tuple(shape[axis] for axis in self.permutation),)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        return (np.ascontiguousarray(inputs[0].transpose(self.permutation)),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        kind = site.output().type
        strides = contiguous(site.input(0).type.shape).strides
        source = Layout(tuple(strides[axis] for axis in self.permutation))
        return (copy_box(kind.shape, source, contiguous(kind.shape), kind.dtype.bytes),)
