"""SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND: each pixel of a block to a batch of its own, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from thimble.compiler.ir.errors import MalformedModel, listed
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Constraint, Input, KernelCall, Operator, Output, Rounding, Shape
from thimble.compiler.ir.types import DType, TensorType
from thimble.compiler.ops.constraints import input_types, same_input_output_type
from thimble.compiler.ops.fill import fill_output
from thimble.compiler.ops.pad import Paddings, stored_zero, zero_is_stored


@dataclass(frozen=True, slots=True)
class BatchOperator(Operator):
    """Base of the two, on tensors (N, H, C) or (N, H, W, C).

    The space side, padded with `edges` elements (before, after) along H and W, consists of blocks of shape
    `block`; the batch side holds for each place in the block, then each batch, the pixels at that place.
    """

    block: tuple[int, ...]
    edges: Paddings

    moves_values = True
    constraints: ClassVar[tuple[Constraint, ...]] = (input_types(DType.INT8, DType.FLOAT32), same_input_output_type)

    def _check(self, site: Site) -> None:
        rank = len(site.input(0).type.shape)
        if rank not in (3, 4) or len(self.block) != rank - 2 or len(self.edges) != rank - 2:
            raise MalformedModel(
                f"{site.source} needs 3 or 4 dimensions, and a block and paddings of 2 dimensions less: "
                f"it has {rank}, {len(self.block)} and {len(self.edges)}."
            )
        if min(self.block) < 1 or any(count < 0 for pair in self.edges for count in pair):
            raise MalformedModel(
                f"{site.source} has a block of {listed(self.block)} and paddings of {listed(self.edges)}."
            )

    def _padded(self, space: Shape) -> Shape:
        """Height (and width) of the space side with its edges."""
        return tuple(before + dim + after for dim, (before, after) in zip(space[1:-1], self.edges, strict=True))

    def _call(self, space: TensorType, batch: TensorType, to_batch: bool) -> KernelCall:
        batches, height, width, depth = _with_width(space.shape)
        _, grid_height, grid_width, _ = _with_width(batch.shape)
        block_width, left = (self.block[1], self.edges[1][0]) if len(self.block) == 2 else (1, 0)
        return KernelCall(
            kernel="space_batch",
            params=(
                ("to_batch", int(to_batch)),
                ("batches", batches),
                ("height", height),
                ("width", width),
                ("pixel_bytes", depth * space.dtype.bytes),
                ("top", self.edges[0][0]),
                ("left", left),
                ("block_height", self.block[0]),
                ("block_width", block_width),
                ("grid_height", grid_height),
                ("grid_width", grid_width),
            ),
            arguments=(Input(0), Output()),
        )


@dataclass(frozen=True, slots=True)
class SpaceToBatchND(BatchOperator):
    """Input (N, H, W, C), output (N * block size, H' / block height, W' / block width, C), H' and W' with edges.

    The edges hold the output's zero point, as LiteRT writes it; TFLite Micro leaves that value uninitialized.
    """

    name = "space_to_batch_nd"
    constraints = (*BatchOperator.constraints, zero_is_stored)

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        self._check(site)
        shape = site.input(0).type.shape
        padded = self._padded(shape)
        if any(dim % size for dim, size in zip(padded, self.block, strict=True)):
            raise MalformedModel(f"{site.source} cuts {padded} pixels into blocks of {listed(self.block)}.")
        grid = (dim // size for dim, size in zip(padded, self.block, strict=True))
        return ((shape[0] * prod(self.block), *grid, shape[-1]),)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        padded = np.pad(inputs[0], ((0, 0), *self.edges, (0, 0)), constant_values=stored_zero(site))
        batch, height, width, depth = _with_width(padded.shape)
        rows, columns = _with_width((1, *self.block, 1))[1:3]
        blocks = padded.reshape(batch, height // rows, rows, width // columns, columns, depth)
        return (np.ascontiguousarray(blocks.transpose(2, 4, 0, 1, 3, 5)).reshape(site.output().type.shape),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        kind = site.output().type
        call = self._call(site.input(0).type, kind, to_batch=True)
        if kind.elements == site.input(0).type.elements:
            return (call,)
        return (fill_output(kind, stored_zero(site)), call)


@dataclass(frozen=True, slots=True)
class BatchToSpaceND(BatchOperator):
    """Input (N * block size, H, W, C), output (N, H * block height, W * block width, C) with its edges cut off."""

    name = "batch_to_space_nd"

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        self._check(site)
        shape = site.input(0).type.shape
        places = prod(self.block)
        if shape[0] % places:
            raise MalformedModel(f"{site.source} makes blocks of {listed(self.block)} of {shape[0]} batches.")
        space = tuple(
            dim * size - before - after
            for dim, size, (before, after) in zip(shape[1:-1], self.block, self.edges, strict=True)
        )
        if min(space) < 0:
            raise MalformedModel(f"{site.source} crops more than there is: {listed(self.edges)}.")
        return ((shape[0] // places, *space, shape[-1]),)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        places, height, width, depth = _with_width(inputs[0].shape)
        rows, columns = _with_width((1, *self.block, 1))[1:3]
        batch = places // (rows * columns)
        blocks = inputs[0].reshape(rows, columns, batch, height, width, depth).transpose(2, 3, 0, 4, 1, 5)
        space = blocks.reshape(batch, *self._padded(site.output().type.shape), depth)
        kept = (slice(before, dim - after) for dim, (before, after) in zip(space.shape[1:-1], self.edges, strict=True))
        return (np.ascontiguousarray(space[(slice(None), *kept)]),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        return (self._call(site.output().type, site.input(0).type, to_batch=False),)


def _with_width(shape: Shape) -> tuple[int, int, int, int]:
    """(N, H, C) as (N, H, 1, C)."""
    return (shape[0], shape[1], shape[2] if len(shape) == 4 else 1, shape[-1])
