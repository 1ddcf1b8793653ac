"""Constraints that several operators share. The docstring of a predicate is the reason that the user reads."""

from __future__ import annotations

from collections.abc import Callable

from thimble.compiler.ir.graph import Role, Site, Value
from thimble.compiler.ir.operator import Constraint
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.activation import Activation, bounds_fit


def input_types(*dtypes: DType, index: int = 0) -> Constraint:
    """A constraint: input `index` has one of `dtypes`."""

    def predicate(site: Site) -> bool:
        return site.input(index).type.dtype in dtypes

    predicate.__doc__ = f"Input {index} must be {_either(dtypes)}."
    return predicate


def output_types(*dtypes: DType, index: int = 0) -> Constraint:
    """A constraint: output `index` has one of `dtypes`."""

    def predicate(site: Site) -> bool:
        return site.output(index).type.dtype in dtypes

    predicate.__doc__ = f"Output {index} must be {_either(dtypes)}."
    return predicate


def same_types(site: Site) -> bool:
    """Inputs and output must have one element type."""
    dtypes = {value.type.dtype for value in (*site.inputs, *site.outputs) if value is not None}
    return len(dtypes) == 1


def same_input_output_type(site: Site) -> bool:
    """Input and output must have the same element type."""
    return site.input(0).type.dtype is site.output().type.dtype


def no_kernel(site: Site) -> bool:
    """This operator has no integer form: it runs in float models only, so that it must not be left over."""
    return False


def per_tensor(site: Site) -> bool:
    """Activations must be quantized with one positive scale and one zero point in the range of their type."""
    return all(is_per_tensor(value) for value in _activations(site) if value.type.dtype in _QUANTIZED)


def quantized_integers(site: Site) -> bool:
    """Integer tensors must be quantized with one positive scale and one zero point in the range of their type."""
    return all(is_per_tensor(value) for value in _activations(site) if value.type.dtype is not DType.FLOAT32)


def same_quantization(site: Site) -> bool:
    """Input and output must have the same scale and zero point."""
    quants = {value.type.quant for value in _activations(site) if value.type.dtype in _QUANTIZED}
    return len(quants) <= 1


def scales_comparable(site: Site) -> bool:
    """The input's scale must be below 2**30 times the output's, the largest left shift of requantization."""
    given, made = site.input(0), site.output()
    return given.type.quant is None or given.quant.scale < made.quant.scale * 2.0**30


def activation_fits(site: Site) -> bool:
    """The output scale must not be so small that the bounds of the fused activation leave 32 bits."""
    return bounds_fit(getattr(site.op, "activation", Activation.NONE), site.output().quant)


def symmetric_int16(site: Site) -> bool:
    """int16 activations must have zero point 0."""
    return all(set(value.quant.zero_points) == {0} for value in _activations(site) if value.type.dtype is DType.INT16)


def rank_at_most(rank: int) -> Constraint:
    """A constraint: no input or output has more than `rank` dimensions."""

    def predicate(site: Site) -> bool:
        values = (*site.inputs, *site.outputs)
        return all(len(value.type.shape) <= rank for value in values if value is not None)

    predicate.__doc__ = f"Tensors must have at most {rank} dimensions."
    return predicate


def matching_widths(site: Site) -> bool:
    """Input and output must both be int16, or each int8, int4 or int2."""
    return (site.input(0).type.dtype is DType.INT16) == (site.output().type.dtype is DType.INT16)


def narrow_weights_of_narrow_inputs(site: Site) -> bool:
    """Weights of int4 or int2 need an input of int8, int4 or int2."""
    return not site.input(1).type.dtype.is_packed or site.input(0).type.dtype in NARROW


def symmetric_weights(axis: int, *dtypes: DType) -> Callable[[Site], bool]:
    """A constraint on input 1: constant, one of `dtypes`, zero point 0, one scale, or one for each index of `axis`."""

    def predicate(site: Site) -> bool:
        weights = site.input(1)
        quant = weights.type.quant
        return (
            weights.type.dtype in dtypes
            and weights.role is Role.CONSTANT
            and quant is not None
            and all(zero == 0 for zero in quant.zero_points)
            and all(scale > 0 for scale in quant.scales)
            and (quant.per_tensor or (quant.axis == axis and len(quant.scales) == weights.type.shape[axis]))
        )

    predicate.__doc__ = (
        f"Weights must be constant {_either(dtypes)} with zero point 0, and one scale or one for each index of axis "
        f"{axis}."
    )
    return predicate


NARROW = (DType.INT8, DType.INT4, DType.INT2)
"""Types of activations and weights that can be mixed in one node with weights."""

_QUANTIZED = (*NARROW, DType.INT16)


def _either(dtypes: tuple[DType, ...]) -> str:
    *others, last = (dtype.value for dtype in dtypes)
    return f"{', '.join(others)} or {last}" if others else last


def _activations(site: Site) -> list[Value]:
    return [v for v in (*site.inputs[:1], *site.outputs) if v is not None]


def is_per_tensor(value: Value) -> bool:
    """Whether a value is quantized with one positive scale and one zero point in the range of its type."""
    quant = value.type.quant
    if quant is None or not quant.per_tensor or quant.scale <= 0:
        return False
    low, high = value.type.dtype.range
    return low <= quant.zero_point <= high
