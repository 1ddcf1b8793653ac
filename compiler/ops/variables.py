"""READ_VARIABLE and ASSIGN_VARIABLE: copies out of and into state that persists between inferences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Input, KernelCall, Operator, Rounding, Shape
from thimble.compiler.ir.packing import from_bytes
from thimble.compiler.ir.types import DType, TensorType
from thimble.compiler.ops.constraints import same_input_output_type
from thimble.compiler.ops.copying import copy_whole


def default_contents(type: TensorType) -> Array:
    """What a variable holds before its first assignment, `type` being that of the assigned tensor.

    Each byte is the low byte of the zero point, whatever the element type: so TFLite Micro fills it
    (micro_resource_variable.cc, Allocate).
    """
    return _filled(type, type.quant.zero_points[0] if type.quant is not None else 0)


def variable_contents(type: TensorType) -> Array:
    """What a tensor marked as variable holds at first: its zero point where it is int8, else bytes of 0.

    Source: micro_interpreter_graph.cc, ResetTensorData.
    """
    return _filled(type, type.quant.zero_points[0] if type.quant is not None and type.dtype is DType.INT8 else 0)


def _filled(type: TensorType, byte: int) -> Array:
    return from_bytes(bytes([byte & 0xFF]) * type.bytes, type)


def assigns_same_type(site: Site) -> bool:
    """The variable and the value assigned to it must have the same element type."""
    return site.input(0).type.dtype is site.input(1).type.dtype


@dataclass(frozen=True, slots=True)
class ReadVariable(Operator):
    """Output is a copy of the state in input 0, so that a later assignment does not change what was read."""

    name = "read_variable"
    moves_values = True
    constraints = (same_input_output_type,)
    copied_input = 0

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        return (site.input(0).type.shape,)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        return (inputs[0].copy(),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        return (copy_whole(site.output().type),)


@dataclass(frozen=True, slots=True)
class AssignVariable(Operator):
    """Writes input 1 into the state in input 0; no outputs."""

    name = "assign_variable"
    moves_values = True
    constraints = (assigns_same_type,)
    state_inputs = (0,)

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        state, value = site.input(0).type.shape, site.input(1).type.shape
        if state != value:
            raise MalformedModel(f"{site.source} assigns a value of shape {value} to a variable of shape {state}.")
        return ()

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        inputs[0][...] = inputs[1]
        return ()

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        return (copy_whole(site.input(0).type, (Input(1), Input(0))),)
