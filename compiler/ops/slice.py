"""SLICE and STRIDED_SLICE: every so many elements of a box inside of a tensor."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, KernelCall, Operator, Rounding, Shape
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import input_types, rank_at_most, same_input_output_type
from thimble.compiler.ops.copying import contiguous, copy_box, window


@dataclass(frozen=True, slots=True)
class Span:
    """`count` elements of one dimension: `begin`, `begin + step`, and so on; step may be negative."""

    begin: int
    step: int
    count: int

    @property
    def indices(self) -> Array:
        """The elements' indices."""
        return self.begin + self.step * np.arange(self.count)


@dataclass(frozen=True, slots=True)
class Slicing(Operator):
    """Base of the two: a subclass gives what it takes along each dimension of input 0."""

    moves_values = True

    @abstractmethod
    def spans(self, site: Site) -> tuple[Span, ...]:
        """What is taken along each dimension, inside of the input."""

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        return (tuple(span.count for span in self.spans(site)),)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        taken = inputs[0][np.ix_(*(span.indices for span in self.spans(site)))]
        return (np.ascontiguousarray(taken).reshape(site.output().type.shape),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        spans = self.spans(site)
        kind = site.input(0).type
        box = tuple(span.count for span in spans)
        source = window(kind.shape, tuple(span.begin for span in spans), tuple(span.step for span in spans))
        return (copy_box(box, source, contiguous(box), kind.dtype.bytes),)

    def _check_rank(self, site: Site, *vectors: tuple[int, ...]) -> None:
        rank = len(site.input(0).type.shape)
        if any(len(vector) != rank for vector in vectors):
            raise MalformedModel(f"{site.source} must name one begin, end or size for each of {rank} dimensions.")


@dataclass(frozen=True, slots=True)
class Slice(Slicing):
    """`size` elements from `begin` on along each dimension; a size of -1 takes all that are left."""

    begin: tuple[int, ...]
    size: tuple[int, ...]

    name = "slice"
    constraints = (
        input_types(DType.INT8, DType.INT16, DType.INT32, DType.BOOL, DType.FLOAT32),
        same_input_output_type,
        rank_at_most(5),
    )

    def spans(self, site: Site) -> tuple[Span, ...]:
        self._check_rank(site, self.begin, self.size)
        spans = []
        for dim, begin, size in zip(site.input(0).type.shape, self.begin, self.size, strict=True):
            count = dim - begin if size == -1 else size
            if not 0 <= begin <= dim or not 0 <= count <= dim - begin:
                raise MalformedModel(f"{site.source} takes {size} elements from {begin} on of a dimension of {dim}.")
            spans.append(Span(begin, 1, count))
        return tuple(spans)


@dataclass(frozen=True, slots=True)
class StridedSlice(Slicing):
    """Python's begin:end:stride along each dimension, cut to the tensor.

    Bit i of `begin_mask` or `end_mask` means from or to the edge of dimension i; bit i of `shrink_mask` takes
    the one element at `begin` and drops the dimension (TFLite strided_slice_logic.h).
    """

    begin: tuple[int, ...]
    end: tuple[int, ...]
    strides: tuple[int, ...]
    begin_mask: int
    end_mask: int
    shrink_mask: int

    name = "strided_slice"
    constraints = (
        input_types(DType.INT8, DType.INT16, DType.INT32, DType.BOOL, DType.FLOAT32),
        same_input_output_type,
        rank_at_most(4),
    )

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        spans = self.spans(site)
        return (tuple(span.count for axis, span in enumerate(spans) if not self.shrink_mask >> axis & 1),)

    def spans(self, site: Site) -> tuple[Span, ...]:
        self._check_rank(site, self.begin, self.end, self.strides)
        if 0 in self.strides:
            raise MalformedModel(f"{site.source} has a stride of 0.")
        return tuple(self._span(site, axis, dim) for axis, dim in enumerate(site.input(0).type.shape))

    def _span(self, site: Site, axis: int, dim: int) -> Span:
        stride = self.strides[axis]
        low, high = (0, dim) if stride > 0 else (-1, dim - 1)
        first, last = (low, high) if stride > 0 else (high, low)
        begin = first if self.begin_mask >> axis & 1 else _clamp(self.begin[axis], dim, low, high)
        if self.shrink_mask >> axis & 1:
            if stride < 0 or not 0 <= begin < dim:
                raise MalformedModel(f"{site.source} takes element {self.begin[axis]} of a dimension of {dim}.")
            return Span(begin, 1, 1)
        end = last if self.end_mask >> axis & 1 else _clamp(self.end[axis], dim, low, high)
        return Span(begin, stride, max(ceil((end - begin) / stride), 0))


def _clamp(index: int, dim: int, low: int, high: int) -> int:
    """An index, counted from the end if negative, cut to [low, high]."""
    return min(max(index + dim if index < 0 else index, low), high)
