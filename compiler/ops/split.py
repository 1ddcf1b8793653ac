"""SPLIT, SPLIT_V and UNPACK: a tensor cut into parts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from thimble.compiler.ir.errors import MalformedModel, listed
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Input, KernelCall, Operator, Output, Rounding, Shape
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.axes import wrap_axis
from thimble.compiler.ops.constraints import input_types, same_types
from thimble.compiler.ops.copying import copy_parts


@dataclass(frozen=True, slots=True)
class Cut(Operator):
    """Base of the three: outputs are slices of input 0 along `axis`; a subclass gives their sizes."""

    axis: int

    moves_values = True
    constraints = (input_types(DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32), same_types)

    @abstractmethod
    def part_sizes(self, site: Site, total: int) -> tuple[int, ...]:
        """How many of the input's `total` slices along the axis each output takes."""

    def _axis(self, site: Site) -> int:
        return wrap_axis(self.axis, len(site.input(0).type.shape), site.source)

    def _sizes(self, site: Site) -> tuple[int, ...]:
        return self.part_sizes(site, site.input(0).type.shape[self._axis(site)])

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        shape, axis = site.input(0).type.shape, self._axis(site)
        return tuple((*shape[:axis], size, *shape[axis + 1 :]) for size in self._sizes(site))

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        parts = np.split(inputs[0], list(accumulate(self._sizes(site)))[:-1], self._axis(site))
        return tuple(part.reshape(value.type.shape).copy() for part, value in zip(parts, site.outputs, strict=True))

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        kind = site.input(0).type
        arguments = [(Input(0), Output(i)) for i in range(len(site.outputs))]
        return copy_parts(kind.shape, self._axis(site), self._sizes(site), kind.dtype.bytes, arguments, join=False)

    def _check_count(self, site: Site, count: int) -> None:
        if count != len(site.outputs) or count < 1:
            raise MalformedModel(f"{site.source} cuts its input into {count} parts for {len(site.outputs)} outputs.")


@dataclass(frozen=True, slots=True)
class Split(Cut):
    """`count` parts of one size."""

    count: int

    name = "split"

    def part_sizes(self, site: Site, total: int) -> tuple[int, ...]:
        self._check_count(site, self.count)
        if total % self.count:
            raise MalformedModel(f"{site.source} cuts {total} slices into {self.count} equal parts.")
        return (total // self.count,) * self.count


@dataclass(frozen=True, slots=True)
class SplitV(Cut):
    """Parts of the given `sizes`; one of them may be -1 and takes what is left."""

    sizes: tuple[int, ...]

    name = "split_v"

    def part_sizes(self, site: Site, total: int) -> tuple[int, ...]:
        self._check_count(site, len(self.sizes))
        rest = total - sum(size for size in self.sizes if size != -1)
        sizes = tuple(rest if size == -1 else size for size in self.sizes)
        if self.sizes.count(-1) > 1 or min(sizes) < 0 or sum(sizes) != total:
            raise MalformedModel(f"{site.source} cuts {total} slices into parts of {listed(self.sizes)}.")
        return sizes


@dataclass(frozen=True, slots=True)
class Unpack(Cut):
    """`count` parts of one slice each, which lose that dimension."""

    count: int

    name = "unpack"

    def part_sizes(self, site: Site, total: int) -> tuple[int, ...]:
        self._check_count(site, self.count)
        if total != self.count:
            raise MalformedModel(f"{site.source} unpacks {total} slices into {self.count} tensors.")
        return (1,) * self.count

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        shape, axis = site.input(0).type.shape, self._axis(site)
        return ((*shape[:axis], *shape[axis + 1 :]),) * len(self._sizes(site))
