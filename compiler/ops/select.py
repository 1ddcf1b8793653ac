"""SELECT_V2, of which firmware has the form that takes one tensor or another, and BROADCAST_TO, for float models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.errors import MalformedModel, listed
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Input, KernelCall, Operator, Output, Overlap, Rounding, Shape
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import input_types, no_kernel


def one_condition(site: Site) -> bool:
    """Input 0 must be a single bool: one tensor or the other is taken whole, not element by element."""
    return site.input(0).type.dtype is DType.BOOL and site.input(0).type.elements == 1


def same_alternatives(site: Site) -> bool:
    """Inputs 1 and 2 and the output must have one shape, one element type, and one scale and zero point."""
    kinds = [site.input(1).type, site.input(2).type, site.output().type]
    return len({(kind.shape, kind.dtype, kind.quant) for kind in kinds}) == 1


@dataclass(frozen=True, slots=True)
class Select(Operator):
    """Input 1 where the bool input 0 is true, input 2 elsewhere; all three are broadcast to each other.

    Firmware computes only the input that is taken, where nothing else needs the other (plan/guards.py).
    """

    name = "select_v2"
    constraints = (
        one_condition,
        input_types(DType.INT8, DType.INT16, DType.INT32, DType.BOOL, index=1),
        same_alternatives,
    )
    moves_values = True
    alternatives = (1, 2)

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        shapes = [site.input(i).type.shape for i in range(3)]
        try:
            return (np.broadcast_shapes(*shapes),)
        except ValueError as error:
            raise MalformedModel(f"{site.source} has inputs of shapes {listed(shapes)}, not of one.") from error

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        return (np.asarray(np.where(inputs[0], inputs[1], inputs[2]), site.output().type.dtype.numpy),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        params = (("bytes", site.output().type.bytes),)
        return (KernelCall("select", params, (Input(0), Input(1), Input(2), Output())),)

    def overlaps(self, site: Site) -> tuple[Overlap, ...]:
        return tuple(Overlap(index, -site.output().type.bytes) for index in self.alternatives)


@dataclass(frozen=True, slots=True)
class BroadcastTo(Operator):
    """Input 0 repeated to `shape`, which it must broadcast to."""

    shape: tuple[int, ...]

    name = "broadcast_to"
    constraints = (no_kernel,)
    moves_values = True

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        given = site.input(0).type.shape
        extended = (1,) * (len(self.shape) - len(given)) + given
        if len(extended) != len(self.shape) or any(a not in (1, b) for a, b in zip(extended, self.shape, strict=True)):
            raise MalformedModel(f"{site.source} cannot broadcast {given} to {listed(self.shape)}.")
        return (self.shape,)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        return (np.broadcast_to(inputs[0], self.shape).copy(),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        raise NotImplementedError(f"{self.name} has no kernel")
