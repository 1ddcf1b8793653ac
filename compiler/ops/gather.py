"""GATHER: slices picked by index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.graph import Role, Site
from thimble.compiler.ir.operator import Array, Input, KernelCall, Operator, Output, Rounding, Shape
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.axes import wrap_axis
from thimble.compiler.ops.constraints import input_types, same_input_output_type


@dataclass(frozen=True, slots=True)
class Gather(Operator):
    """Output (outer..., indices..., inner...) of input 0 (outer..., size, inner...) and int32 indices in input 1.

    The first `batch_dims` dimensions of the indices belong to the same ones of the input. A computed index out
    of range is cut to the nearest element, since firmware has no way to refuse it; TFLite Micro fails there.
    """

    axis: int
    batch_dims: int

    name = "gather"
    moves_values = True
    constraints = (
        input_types(DType.INT8, DType.FLOAT32),
        input_types(DType.INT32, index=1),
        same_input_output_type,
    )

    def _dims(self, site: Site) -> tuple[int, int]:
        """Axis and batch dimensions, counted from 0."""
        shape, indices = site.input(0).type.shape, site.input(1).type.shape
        axis = wrap_axis(self.axis, len(shape), site.source)
        batch_dims = self.batch_dims + len(indices) if self.batch_dims < 0 else self.batch_dims
        if not 0 <= batch_dims <= min(axis, len(indices)) or shape[:batch_dims] != indices[:batch_dims]:
            raise MalformedModel(
                f"{site.source} gathers along axis {axis} of {shape} with {self.batch_dims} batch dimensions "
                f"and indices of shape {indices}."
            )
        return axis, batch_dims

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        shape, indices = site.input(0).type.shape, site.input(1)
        axis, batch_dims = self._dims(site)
        if shape[axis] == 0:
            raise MalformedModel(f"{site.source} gathers from a dimension of 0 elements.")
        if indices.role is Role.CONSTANT and not _in_range(indices.constant, shape[axis]):
            raise MalformedModel(f"{site.source} has an index outside of its dimension of {shape[axis]}.")
        return ((*shape[:axis], *indices.type.shape[batch_dims:], *shape[axis + 1 :]),)

    def _sizes(self, site: Site) -> tuple[int, int, int, int, int]:
        """Batches, outer slices in each, size of the axis, indices for each batch, inner elements."""
        shape, indices = site.input(0).type.shape, site.input(1).type.shape
        axis, batch_dims = self._dims(site)
        return (
            prod(shape[:batch_dims]),
            prod(shape[batch_dims:axis]),
            shape[axis],
            prod(indices[batch_dims:]),
            prod(shape[axis + 1 :]),
        )

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        batches, outer, size, count, inner = self._sizes(site)
        source = inputs[0].reshape(batches, outer, size, inner)
        picks = inputs[1].reshape(batches, 1, count, 1).clip(0, size - 1)
        return (np.take_along_axis(source, picks, axis=2).reshape(site.output().type.shape),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        batches, outer, size, count, inner = self._sizes(site)
        call = KernelCall(
            kernel="gather",
            params=(
                ("batches", batches),
                ("outer", outer),
                ("size", size),
                ("indices", count),
                ("slice_bytes", inner * site.output().type.dtype.bytes),
            ),
            arguments=(Input(0), Input(1), Output()),
        )
        return (call,)


def _in_range(indices: Array, size: int) -> bool:
    return indices.size == 0 or (int(indices.min()) >= 0 and int(indices.max()) < size)
