"""What operators with a state share: constraints on states and weights."""

from __future__ import annotations

from thimble.compiler.ir.graph import Role, Site, Value
from thimble.compiler.ops.constraints import is_per_tensor

LARGEST_FACTOR = 2.0**30
"""Bound of a product of scales: TFLite Micro shifts left by its exponent, which is undefined from 31 bits on."""


def states_are_variables(site: Site) -> bool:
    """State tensors must be variables of the model that serve as no other input of the operator."""
    states = [site.input(index) for index in site.op.state_inputs]
    uses = [value for value in site.inputs if any(value is state for state in states)]
    return all(state.role is Role.STATE for state in states) and len(uses) == len(states)


def is_symmetric_constant(value: Value) -> bool:
    """Whether a weight tensor is constant, with one positive scale and zero point 0."""
    return value.role is Role.CONSTANT and is_per_tensor(value) and value.quant.zero_point == 0
