"""CONCATENATION and PACK: tensors set side by side."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.errors import MalformedModel, listed
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Input, KernelCall, Operator, Output, Rounding, Shape
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.axes import wrap_axis
from thimble.compiler.ops.constraints import input_types, same_types
from thimble.compiler.ops.copying import copy_parts


def at_most_ten_inputs(site: Site) -> bool:
    """At most 10 tensors can be concatenated: TFLite Micro takes no more."""
    return len(site.inputs) <= 10


def one_quantization(site: Site) -> bool:
    """int8 inputs and output must have the same scale and zero point, int16 ones zero point 0."""
    values = [value for value in (*site.inputs, *site.outputs) if value is not None]
    if values[0].type.dtype is DType.INT8:
        return len({value.type.quant for value in values}) == 1
    zeros = {zero for value in values if value.type.quant for zero in value.type.quant.zero_points}
    return values[0].type.dtype is not DType.INT16 or zeros <= {0}


@dataclass(frozen=True, slots=True)
class Join(Operator):
    """Base of the two: inputs of any number become parts of the output along `axis`."""

    axis: int

    moves_values = True

    @abstractmethod
    def part_size(self, shape: Shape) -> int:
        """How many slices of the output along the axis an input of `shape` fills."""

    def _input_shapes(self, site: Site) -> list[Shape]:
        shapes = [site.input(i).type.shape for i in range(len(site.inputs))]
        if not shapes:
            raise MalformedModel(f"{site.source} has no inputs.")
        return shapes

    def _axis(self, site: Site) -> int:
        return wrap_axis(self.axis, len(site.output().type.shape), site.source)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        axis, whole = self._axis(site), site.output().type.shape
        parts = [x.reshape(*whole[:axis], self.part_size(x.shape), *whole[axis + 1 :]) for x in inputs]
        return (np.concatenate(parts, axis),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        kind = site.output().type
        sizes = [self.part_size(shape) for shape in self._input_shapes(site)]
        arguments = [(Input(i), Output()) for i in range(len(sizes))]
        return copy_parts(kind.shape, self._axis(site), sizes, kind.dtype.bytes, arguments, join=True)


@dataclass(frozen=True, slots=True)
class Concatenation(Join):
    """Inputs of one shape but for their size along `axis`."""

    name = "concatenation"
    constraints = (
        input_types(DType.INT8, DType.INT16, DType.INT32, DType.INT64, DType.BOOL, DType.FLOAT32),
        same_types,
        one_quantization,
        at_most_ten_inputs,
    )

    def part_size(self, shape: Shape) -> int:
        return shape[self.axis]

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        shapes = self._input_shapes(site)
        axis = wrap_axis(self.axis, len(shapes[0]), site.source)
        rest = {(shape[:axis], shape[axis + 1 :]) for shape in shapes}
        if len({len(shape) for shape in shapes}) != 1 or len(rest) != 1:
            raise MalformedModel(f"{site.source} concatenates the shapes {listed(shapes)} along axis {axis}.")
        total = sum(shape[axis] for shape in shapes)
        return ((*shapes[0][:axis], total, *shapes[0][axis + 1 :]),)


@dataclass(frozen=True, slots=True)
class Pack(Join):
    """Inputs of one shape, stacked along a new `axis`."""

    name = "pack"
    constraints = (
        input_types(DType.INT8, DType.INT16, DType.INT32, DType.INT64, DType.FLOAT32),
        same_types,
    )

    def part_size(self, shape: Shape) -> int:
        return 1

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        shapes = self._input_shapes(site)
        if len(set(shapes)) != 1:
            raise MalformedModel(f"{site.source} packs tensors of different shapes: {listed(shapes)}.")
        axis = wrap_axis(self.axis, len(shapes[0]) + 1, site.source)
        return ((*shapes[0][:axis], len(shapes), *shapes[0][axis:]),)
