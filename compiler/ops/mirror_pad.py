"""MIRROR_PAD: a tensor framed with its own reflection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, KernelCall, Operator, Output, Rounding, Shape
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import input_types, same_input_output_type
from thimble.compiler.ops.copying import Layout, contiguous, copy_box
from thimble.compiler.ops.pad import Paddings, copy_inside, padded_shape


@dataclass(frozen=True, slots=True)
class MirrorPad(Operator):
    """`paddings` holds (before, after) for each dimension; `symmetric` repeats the edge element, REFLECT does not."""

    paddings: Paddings
    symmetric: bool

    name = "mirror_pad"
    moves_values = True
    constraints = (input_types(DType.INT8, DType.FLOAT32), same_input_output_type)

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        shape = padded_shape(site, self.paddings)
        for dim, pair in zip(site.input(0).type.shape, self.paddings, strict=True):
            if max(pair) > dim - self._skipped:
                raise MalformedModel(f"{site.source} mirrors {max(pair)} elements of a dimension of {dim}.")
        return (shape,)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        return (np.pad(inputs[0], self.paddings, mode="symmetric" if self.symmetric else "reflect"),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        """The input is copied, then each dimension's frame is mirrored inside of the output, innermost first."""
        calls = [copy_inside(site, self.paddings)]
        for axis in reversed(range(len(self.paddings))):
            before, after = self.paddings[axis]
            end = site.output().type.shape[axis] - after
            if before:
                calls.append(self._mirror(site, axis, before, before - 1, before + self._skipped))
            if after:
                calls.append(self._mirror(site, axis, after, end, end - 1 - self._skipped))
        return tuple(calls)

    @property
    def _skipped(self) -> int:
        return 0 if self.symmetric else 1

    def _mirror(self, site: Site, axis: int, count: int, target: int, origin: int) -> KernelCall:
        """Copy `count` slices along `axis`, walking away from each other: from `origin` on to `target` on.

        Dimensions inside of `axis` are copied with their frames, those outside without.
        """
        kind = site.output().type
        strides = contiguous(kind.shape).strides
        corner = sum(before * stride for (before, _), stride in zip(self.paddings[:axis], strides, strict=False))

        def walk(start: int, step: int) -> Layout:
            return Layout((*strides[:axis], step * strides[axis], *strides[axis + 1 :]), corner + start * strides[axis])

        box = (*site.input(0).type.shape[:axis], count, *kind.shape[axis + 1 :])
        step = 1 if origin > target else -1
        return copy_box(box, walk(origin, step), walk(target, -step), kind.dtype.bytes, (Output(), Output()))
