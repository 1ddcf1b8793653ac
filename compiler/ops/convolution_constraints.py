"""Constraints of convolutions and matrix products with weights: types, and that nothing leaves its accumulator."""

from __future__ import annotations

import numpy as np

from thimble.compiler.ir.graph import Role, Site
from thimble.compiler.ir.operator import Array, Constraint
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import (
    NARROW,
    activation_fits,
    input_types,
    matching_widths,
    narrow_weights_of_narrow_inputs,
    output_types,
    per_tensor,
    same_input_output_type,
    symmetric_int16,
    symmetric_weights,
)
from thimble.compiler.ops.convolution import (
    NARROW_MAX_SHIFT,
    WIDE_BITS,
    WIDE_MAX_SHIFT,
    WeightedOperator,
    bias_array,
)
from thimble.compiler.ops.fixed_point import INT32_MAX


def convolution_constraints(axis: int, int16_biases: tuple[DType, ...], packed: bool = True) -> tuple[Constraint, ...]:
    """The constraints of a convolution with output channels along `axis` of its weights, `packed` types or not."""
    return (
        *(mixed_types() if packed else (input_types(DType.INT8, DType.INT16), same_input_output_type)),
        per_tensor,
        symmetric_int16,
        symmetric_weights(axis, *(NARROW if packed else (DType.INT8,))),
        narrow_weights_of_narrow_inputs,
        bias_types(int16_biases),
        sums_fit(axis),
        multipliers_fit,
        activation_fits,
    )


def mixed_types() -> tuple[Constraint, ...]:
    """The constraints of activations on nodes with weights: int16, or any mixture of narrower types."""
    return input_types(*NARROW, DType.INT16), output_types(*NARROW, DType.INT16), matching_widths


def bias_types(int16_biases: tuple[DType, ...]) -> Constraint:
    """A constraint: the bias is constant, int32 under int8 activations, one of `int16_biases` under int16 ones."""

    def predicate(site: Site) -> bool:
        if not site.has_input(2):
            return True
        bias = site.input(2)
        allowed = int16_biases if site.input(0).type.dtype is DType.INT16 else (DType.INT32,)
        return bias.role is Role.CONSTANT and bias.type.dtype in allowed

    names = " or ".join(dtype.value for dtype in int16_biases)
    predicate.__doc__ = f"A bias must be constant: int32 for int8 and narrower activations, {names} for int16 ones."
    return predicate


def sums_fit(axis: int) -> Constraint:
    """A constraint: no input can make the accumulators overflow; output channels lie along `axis` of the weights."""

    def predicate(site: Site) -> bool:
        x, weights = site.input(0), site.input(1)
        if weights.type.dtype not in NARROW or x.type.dtype not in (*NARROW, DType.INT16):
            return False
        bias = np.abs(bias_array(site, weights.type.shape[axis]).astype(np.float64))
        sums = largest_weight_sums(site, axis) * largest_magnitude(x.type.dtype, x.quant.zero_point) + bias
        if x.type.dtype is DType.INT16:
            return bool((sums < 1 << WIDE_BITS).all())
        return bool((sums <= INT32_MAX).all())

    predicate.__doc__ = (
        "Bias plus the largest possible sum of products must fit the accumulator: 48 bits for int16 activations, "
        "32 bits for narrower ones."
    )
    return predicate


def largest_magnitude(dtype: DType, zero_point: int) -> int:
    """Largest |q - zero_point| of a quantized type."""
    low, high = dtype.range
    return max(high - zero_point, zero_point - low)


def largest_weight_sums(site: Site, axis: int) -> Array:
    """Upper bound of sum |w - zero_point| for each output channel; of any contents where weights are not constant."""
    weights = site.input(1)
    zero_point = weights.quant.zero_points[0]
    if weights.role is not Role.CONSTANT:
        shape = weights.type.shape
        bound = largest_magnitude(weights.type.dtype, zero_point) * (weights.type.elements // shape[axis])
        return np.full(shape[axis], bound, np.int64)
    others = tuple(a for a in range(len(weights.type.shape)) if a != axis)
    magnitudes = np.abs(weights.constant.astype(np.int16) - np.int16(zero_point))
    return np.asarray(magnitudes.sum(axis=others, dtype=np.int64))


def multipliers_fit(site: Site) -> bool:
    """Input scale * weight scale / output scale must be below 2^29; below 16384 with int16 activations."""
    op = site.op
    if not isinstance(op, WeightedOperator):
        return False
    _, shifts = op.multipliers(site, len(site.input(1).quant.scales))
    return bool((shifts <= (WIDE_MAX_SHIFT if op.wide(site) else NARROW_MAX_SHIFT)).all())
