"""The graph: an immutable list of nodes in execution order over values in single assignment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from itertools import repeat

import numpy as np

from thimble.compiler.ir.errors import MalformedModel, listed, quoted
from thimble.compiler.ir.operator import Array, KernelCall, Operator, Overlap, Rounding, RowForm, Specialise
from thimble.compiler.ir.types import QuantParams, TensorType


class Role(Enum):
    """Where a value comes from."""

    INPUT = "input"
    CONSTANT = "constant"
    STATE = "state"  # keeps its contents between inferences; `data` is what reset() writes
    ACTIVATION = "activation"


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A tensor: `name` is the source model's own and never becomes a C identifier; `tensor` is its index there.

    Where `source_order` is set, dimension i is dimension `source_order[i]` of the source model's tensor: images of an
    ONNX model lie in memory as (N, H, W, C) that are (N, C, H, W) to its user.
    """

    name: str
    type: TensorType
    role: Role = Role.ACTIVATION
    data: Array | None = None
    tensor: int | None = None
    source_order: tuple[int, ...] | None = None

    @property
    def constant(self) -> Array:
        """The contents of a constant, or the initial contents of a state."""
        if self.data is None:
            raise ValueError(f"value {self.name!r} is a {self.role.value} and holds no data")
        return self.data

    @property
    def quant(self) -> QuantParams:
        """The quantization parameters, which must be there."""
        if self.type.quant is None:
            raise ValueError(f"value {self.name!r} is not quantized")
        return self.type.quant


@dataclass(frozen=True, slots=True)
class Node:
    """An operator applied to values, by their index in the graph; None stands for an absent optional input."""

    op: Operator
    inputs: tuple[int | None, ...]
    outputs: tuple[int, ...]
    source: str = ""  # where in the model file: such as "operator 3 (CONV_2D)"


@dataclass(frozen=True, slots=True)
class Site:
    """A node with its values in place of indices: what an operator's methods look at."""

    op: Operator
    inputs: tuple[Value | None, ...]
    outputs: tuple[Value, ...]
    source: str = ""
    specialise: Specialise | None = None

    def lower(self, rounding: Rounding) -> tuple[KernelCall, ...]:
        """The kernel calls that compute the node whole, specialised where the target has something better."""
        return self._specialised(self.op.lower(self, rounding), True)

    def lower_rows(self, rounding: Rounding) -> tuple[KernelCall, ...]:
        """Those of one step of the node's row form."""
        return self._specialised(self.op.lower_rows(self, rounding), False)

    def _specialised(self, calls: tuple[KernelCall, ...], whole: bool) -> tuple[KernelCall, ...]:
        if self.specialise is None:
            return calls
        return tuple(self.specialise(self, call, whole) or call for call in calls)

    def overlaps(self) -> tuple[Overlap, ...]:
        """The operator's overlaps for the node whole, as its calls leave them; none where one keeps off its input."""
        declared = self.op.overlaps(self)
        if self.specialise is None or not declared:
            return declared
        if not self.may_overlap(by_rows=False):
            return ()
        ahead = self.ahead_bytes()
        return tuple(replace(overlap, distance=overlap.distance + ahead) for overlap in declared)

    def ahead_bytes(self) -> int:
        """How much of the output calls for the node whole may write sooner than the operator's overlaps suppose."""
        if self.specialise is None:
            return 0
        return max((call.ahead_bytes for rounding in Rounding for call in self.lower(rounding)), default=0)

    def row_overlaps(self, form: RowForm) -> tuple[Overlap, ...]:
        """Those of the node's row form, in the same way."""
        return form.overlaps if not form.overlaps or self.may_overlap(by_rows=True) else ()

    def may_overlap(self, by_rows: bool) -> bool:
        """Whether all calls, whatever the rounding, leave the operator's overlaps true."""
        if self.specialise is None:
            return True
        lower = self.lower_rows if by_rows else self.lower
        return all(call.overlaps for rounding in Rounding for call in lower(rounding))

    def input(self, index: int = 0) -> Value:
        """Input `index`, which must be present."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise MalformedModel(f"{self.source} lacks its input {index}.")
        return value

    def has_input(self, index: int) -> bool:
        """Whether the optional input `index` is present."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def output(self, index: int = 0) -> Value:
        """Output `index`, which must be present."""
        if index >= len(self.outputs):
            raise MalformedModel(f"{self.source} lacks its output {index}.")
        return self.outputs[index]


@dataclass(frozen=True)
class Graph:
    """A network. Immutable: a pass returns a new one.

    `specialise` gives each node the target's own kernels in place of plain ones; None keeps all plain.
    """

    name: str
    values: tuple[Value, ...]
    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    specialise: tuple[Specialise, ...] | None = None

    @cached_property
    def sites(self) -> tuple[Site, ...]:
        """One Site for each node, in execution order."""
        return tuple(
            Site(
                node.op,
                tuple(None if i is None else self.values[i] for i in node.inputs),
                tuple(self.values[i] for i in node.outputs),
                node.source,
                specialise,
            )
            for node, specialise in zip(self.nodes, self.specialise or repeat(None, len(self.nodes)), strict=True)
        )

    @cached_property
    def states(self) -> tuple[int, ...]:
        """Indices of the values that persist between inferences."""
        return tuple(i for i, value in enumerate(self.values) if value.role is Role.STATE)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(site.op.macs(site) for site in self.sites)


def verify(graph: Graph) -> None:
    """Raise MalformedModel if an index, a definition order, a shape or a constant's size is wrong."""
    count = len(graph.values)
    defined = {i for i, v in enumerate(graph.values) if v.role is not Role.ACTIVATION}
    for value in graph.values:
        value.type.check_size(f"Tensor {quoted(value.name)}")
        if value.data is not None and value.data.shape != value.type.shape:
            raise MalformedModel(f"Tensor {quoted(value.name)} holds data of another shape than {value.type}.")
        if value.role in (Role.CONSTANT, Role.STATE) and value.data is None:
            raise MalformedModel(f"Tensor {quoted(value.name)} is a {value.role.value} without data.")
    for index in (*graph.inputs, *graph.outputs):
        if not 0 <= index < count:
            raise MalformedModel(f"The graph names tensor {index} of {count}.")
    for node, site in zip(graph.nodes, graph.sites, strict=True):
        for i in node.inputs:
            if i is not None and i not in defined:
                raise MalformedModel(
                    f"{node.source} reads tensor {quoted(graph.values[i].name)} before anything writes it."
                )
        for i in node.outputs:
            if i in defined:
                raise MalformedModel(
                    f"{node.source} writes tensor {quoted(graph.values[i].name)}, which has a writer already."
                )
            defined.add(i)
        _verify_shapes(site)
    for i in graph.outputs:
        if i not in defined:
            raise MalformedModel(f"Output tensor {quoted(graph.values[i].name)} is never written.")


def _verify_shapes(site: Site) -> None:
    shapes = site.op.shapes(site)
    if len(shapes) != len(site.outputs):
        raise MalformedModel(f"{site.source} has {len(site.outputs)} outputs; it must have {len(shapes)}.")
    for value, shape in zip(site.outputs, shapes, strict=True):
        if value.type.shape != shape:
            raise MalformedModel(
                f"{site.source} gives shape {listed(shape)}, "
                f"but its output tensor {quoted(value.name)} says {value.type.shape}."
            )


def constant(name: str, data: Array, type: TensorType) -> Value:
    """A constant value whose array is contiguous and read-only."""
    data = np.ascontiguousarray(data).reshape(data.shape)  # ascontiguousarray alone turns a scalar into a row
    data.setflags(write=False)
    return Value(name, type, Role.CONSTANT, data)
