"""ADD and SUB: element-wise sum and difference with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.compiler.ir.graph import Role, Site
from thimble.compiler.ir.operator import Array, Constraint, Input, KernelCall, Output, Rounding
from thimble.compiler.ir.types import MAX_RANK, DType
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.binary import (
    BinaryOperator,
    Params,
    activated_limits,
    activation_in_range,
    int32_unquantized,
    output_params,
    quantized_operands,
    rescale_to,
    smaller_than_one,
    twice_larger_scale,
)
from thimble.compiler.ops.constraints import NARROW, input_types, same_types
from thimble.compiler.ops.fixed_point import Int64, quantize_multiplier, requantize, saturate, wrap_int32
from thimble.compiler.ops.packed import image_sizes, is_packed, packed_call


def output_scale_large_enough(site: Site) -> bool:
    """The output scale must not be smaller than the larger input scale by a factor of 2^19 (int16: 2^14) or more."""
    return site.output().type.dtype is DType.INT32 or smaller_than_one(_output_multiplier(site))


def same_types_or_narrow(site: Site) -> bool:
    """Inputs and output must have one element type, or each int8, int4 or int2."""
    return same_types(site) or all(v is not None and v.type.dtype in NARROW for v in (*site.inputs, *site.outputs))


def packed_of_one_shape(site: Site) -> bool:
    """Beside int4 or int2, no input may be constant or stretched to the output's shape."""
    inputs = [v for v in site.inputs if v is not None]
    alike = all(v.type.shape == site.output().type.shape and v.role is not Role.CONSTANT for v in inputs)
    return alike or not is_packed(site)


def _left_shift(site: Site) -> int:
    """Bits that both inputs gain first, so that their sum keeps its precision and fits 32 bits."""
    return 15 if site.output().type.dtype is DType.INT16 else 20


def _output_multiplier(site: Site) -> float:
    return twice_larger_scale(site) / ((1 << _left_shift(site)) * site.output().quant.scale)


@dataclass(frozen=True, slots=True)
class AddOrSub(BinaryOperator):
    """input 0 + sign * input 1, then the fused activation. Source: TFLite Micro's kernels/add_common.cc."""

    activation: Activation

    sign: ClassVar[int]
    kernel = "add"
    takes_packed = True
    constraints: ClassVar[tuple[Constraint, ...]] = (
        input_types(*NARROW, DType.INT16, DType.INT32),
        same_types_or_narrow,
        packed_of_one_shape,
        quantized_operands,
        int32_unquantized,
        activation_in_range,
        output_scale_large_enough,
    )

    def compute(self, site: Site, a: Int64, b: Int64) -> Array:
        if site.output().type.dtype is DType.INT32:
            return saturate(wrap_int32(a + self.sign * b), *activated_limits(site, self.activation), "int64")
        a, b = rescale_to(site, twice_larger_scale(site), _left_shift(site)).apply(site, a, b)
        total = requantize(a + self.sign * b, *quantize_multiplier(_output_multiplier(site)))
        return saturate(total + site.output().quant.zero_point, *activated_limits(site, self.activation), "int64")

    def real(self, a: Array, b: Array) -> Array:
        return a + b if self.sign > 0 else a - b

    def params(self, site: Site) -> Params:
        limits = activated_limits(site, self.activation)
        if site.output().type.dtype is DType.INT32:
            return (("sign", self.sign), ("output_min", limits[0]), ("output_max", limits[1]))
        rescaling = rescale_to(site, twice_larger_scale(site), _left_shift(site))
        multiplier = quantize_multiplier(_output_multiplier(site))
        return (("sign", self.sign), *rescaling.params(site), *output_params(site, multiplier, limits))

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        if not is_packed(site):
            return BinaryOperator.lower(self, site, rounding)
        types = [value.type.dtype for value in (site.input(0), site.input(1), site.output())]
        sizes = image_sizes(site.output().type)
        dims = (*(1,) * (MAX_RANK - 2), *(size for _, size in sizes))
        unused = (0,) * MAX_RANK
        params: Params = (("dims", dims), ("strides1", unused), ("strides2", unused), *self.params(site))
        return (packed_call("add", types, params, (Input(0), Input(1), Output())),)


def no_int32_activation(site: Site) -> bool:
    """int32 operands take no fused activation: TFLite Micro would ignore it."""
    op = site.op
    return site.output().type.dtype is not DType.INT32 or (
        isinstance(op, AddOrSub) and op.activation is Activation.NONE
    )


@dataclass(frozen=True, slots=True)
class Add(AddOrSub):
    """input 0 + input 1, broadcast to each other."""

    name = "add"
    sign = 1
    constraints = (*AddOrSub.constraints, no_int32_activation)


@dataclass(frozen=True, slots=True)
class Sub(AddOrSub):
    """input 0 - input 1, broadcast to each other."""

    name = "sub"
    sign = -1
