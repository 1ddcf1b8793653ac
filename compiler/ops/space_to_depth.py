"""SPACE_TO_DEPTH and DEPTH_TO_SPACE: square blocks of pixels to channels and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, KernelCall, Operator, Rounding, Shape
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import input_types, same_input_output_type
from thimble.compiler.ops.copying import Layout, contiguous, copy_box


@dataclass(frozen=True, slots=True)
class BlockOperator(Operator):
    """Base of the two: one copy that swaps a block's rows with the columns of blocks."""

    block_size: int

    moves_values = True
    constraints = (input_types(DType.INT8, DType.FLOAT32), same_input_output_type)

    def _input_shape(self, site: Site) -> tuple[int, int, int, int]:
        shape = site.input(0).type.shape
        if len(shape) != 4 or self.block_size < 1:
            raise MalformedModel(f"{site.source} needs 4 dimensions and a block of 1 or more, not {self.block_size}.")
        batch, height, width, depth = shape
        return batch, height, width, depth

    @staticmethod
    def _swapped(site: Site, blocked: Shape) -> KernelCall:
        """Copy a tensor (N, rows, a, b, C), given as `blocked`, to (N, rows, b, a, C)."""
        batch, rows, a, b, depth = blocked
        n, r, i, j, c = contiguous((batch, rows, b, a, depth)).strides
        return copy_box(blocked, contiguous(blocked), Layout((n, r, j, i, c)), site.output().type.dtype.bytes)


@dataclass(frozen=True, slots=True)
class SpaceToDepth(BlockOperator):
    """Input (N, H, W, C), output (N, H / block, W / block, block * block * C)."""

    name = "space_to_depth"

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        batch, height, width, depth = self._input_shape(site)
        block = self.block_size
        if height % block or width % block:
            raise MalformedModel(f"{site.source} cuts ({height}, {width}) pixels into blocks of {block}.")
        return ((batch, height // block, width // block, block * block * depth),)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        batch, height, width, depth = site.output().type.shape
        blocks = inputs[0].reshape(batch, height, self.block_size, width, -1).swapaxes(2, 3)
        return (np.ascontiguousarray(blocks).reshape(batch, height, width, depth),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        batch, height, width, _ = site.output().type.shape
        line = self.block_size * site.input(0).type.shape[3]
        return (self._swapped(site, (batch, height, self.block_size, width, line)),)


@dataclass(frozen=True, slots=True)
class DepthToSpace(BlockOperator):
    """Input (N, H, W, block * block * C), output (N, H * block, W * block, C)."""

    name = "depth_to_space"

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        batch, height, width, depth = self._input_shape(site)
        block = self.block_size
        if depth % (block * block):
            raise MalformedModel(f"{site.source} makes blocks of {block} by {block} pixels of {depth} channels.")
        return ((batch, height * block, width * block, depth // (block * block)),)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        batch, height, width, _ = inputs[0].shape
        blocks = inputs[0].reshape(batch, height, width, self.block_size, -1).swapaxes(2, 3)
        return (np.ascontiguousarray(blocks).reshape(site.output().type.shape),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        batch, height, width, _ = site.input(0).type.shape
        line = self.block_size * site.output().type.shape[3]
        return (self._swapped(site, (batch, height, width, self.block_size, line)),)
