"""SELECT and BROADCAST_TO: for float models alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.errors import MalformedModel, listed
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, KernelCall, Operator, Rounding, Shape
from thimble.compiler.ops.constraints import no_kernel


@dataclass(frozen=True, slots=True)
class _Unlowered(Operator):
    """An operator that numpy alone runs."""

    constraints = (no_kernel,)
    moves_values = True

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        raise NotImplementedError(f"{self.name} has no kernel")


@dataclass(frozen=True, slots=True)
class Select(_Unlowered):
    """Input 1 where the bool input 0 is true, input 2 elsewhere; all three are broadcast to each other."""

    name = "select"

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        shapes = [site.input(i).type.shape for i in range(3)]
        try:
            return (np.broadcast_shapes(*shapes),)
        except ValueError as error:
            raise MalformedModel(f"{site.source} has inputs of shapes {listed(shapes)}, not of one.") from error

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        return (np.asarray(np.where(inputs[0], inputs[1], inputs[2]), site.output().type.dtype.numpy),)


@dataclass(frozen=True, slots=True)
class BroadcastTo(_Unlowered):
    """Input 0 repeated to `shape`, which it must broadcast to."""

    shape: tuple[int, ...]

    name = "broadcast_to"

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        given = site.input(0).type.shape
        extended = (1,) * (len(self.shape) - len(given)) + given
        if len(extended) != len(self.shape) or any(a not in (1, b) for a, b in zip(extended, self.shape, strict=True)):
            raise MalformedModel(f"{site.source} cannot broadcast {given} to {listed(self.shape)}.")
        return (self.shape,)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        return (np.broadcast_to(inputs[0], self.shape).copy(),)
