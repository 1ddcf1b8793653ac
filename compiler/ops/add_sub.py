"""ADD and SUB: element-wise sum and difference with broadcasting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import frexp
from typing import ClassVar

import numpy as np
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Input, KernelCall, Operator, Output, Rounding, Shape
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.activation import Activation, quantized_range
from thimble.compiler.ops.binary import int32_unquantized, quantized_operands
from thimble.compiler.ops.broadcast import broadcast_params, broadcast_shape
from thimble.compiler.ops.constraints import input_types, same_types
from thimble.compiler.ops.fixed_point import quantize_multiplier, requantize, saturate, wrap_int32


@dataclass(frozen=True, slots=True)
class _Rescaling:
    """Both inputs go to the scale 2 * max(scale1, scale2) / 2**left_shift, the sum from there to the output's.

    Each pair is (multiplier, shift). Source: CalculateOpDataAdd in TFLite Micro kernels/add_common.cc.
    """

    left_shift: int
    input1: tuple[int, int]
    input2: tuple[int, int]
    output: tuple[int, int]


def _rescaling(site: Site) -> _Rescaling:
    left_shift = 15 if site.output().type.dtype is DType.INT16 else 20
    scale1, scale2 = site.input(0).quant.scale, site.input(1).quant.scale
    common = 2 * max(scale1, scale2)
    return _Rescaling(
        left_shift,
        quantize_multiplier(scale1 / common),
        quantize_multiplier(scale2 / common),
        quantize_multiplier(_output_multiplier(site)),
    )


def _output_multiplier(site: Site) -> float:
    left_shift = 15 if site.output().type.dtype is DType.INT16 else 20
    common = 2 * max(site.input(0).quant.scale, site.input(1).quant.scale)
    return common / ((1 << left_shift) * site.output().quant.scale)


def output_scale_large_enough(site: Site) -> bool:
    """The output scale must not be smaller than the larger input scale by a factor of 2^19 (int16: 2^14) or more."""
    if site.output().type.dtype is DType.INT32 or not quantized_operands(site):
        return True
    real = _output_multiplier(site)
    return real < 1 and frexp(real)[1] <= 0 and quantize_multiplier(real)[1] <= 0


def no_int32_activation(site: Site) -> bool:
    """int32 operands take no fused activation: TFLite Micro would ignore it."""
    op = site.op
    assert isinstance(op, AddOrSub)
    return site.output().type.dtype is not DType.INT32 or op.activation is Activation.NONE


@dataclass(frozen=True, slots=True)
class AddOrSub(Operator):
    """input 0 + sign * input 1, broadcast to each other, then clamped by the fused activation."""

    activation: Activation

    sign: ClassVar[int]
    constraints = (
        input_types(DType.INT8, DType.INT16, DType.INT32),
        same_types,
        quantized_operands,
        int32_unquantized,
        no_int32_activation,
        output_scale_large_enough,
    )

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        return (broadcast_shape(site),)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        a, b = (x.astype(np.int64) for x in inputs[:2])
        dtype = site.output().type.dtype
        if dtype is DType.INT32:
            return (wrap_int32(a + self.sign * b).astype(np.int32),)
        scaling = _rescaling(site)
        a = requantize((a - site.input(0).quant.zero_point) << scaling.left_shift, *scaling.input1)
        b = requantize((b - site.input(1).quant.zero_point) << scaling.left_shift, *scaling.input2)
        total = requantize(a + self.sign * b, *scaling.output) + site.output().quant.zero_point
        return (saturate(total, *quantized_range(self.activation, site.output().quant, dtype), dtype.numpy),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        dtype = site.output().type.dtype
        arguments = (Input(0), Input(1), Output())
        sign = ("sign", self.sign)
        if dtype is DType.INT32:
            return (KernelCall("add_s32", (*broadcast_params(site), sign), arguments),)
        scaling = _rescaling(site)
        low, high = quantized_range(self.activation, site.output().quant, dtype)
        call = KernelCall(
            kernel="add_s8" if dtype is DType.INT8 else "add_s16",
            params=(
                *broadcast_params(site),
                sign,
                ("zero_point1", site.input(0).quant.zero_point),
                ("multiplier1", scaling.input1[0]),
                ("shift1", scaling.input1[1]),
                ("zero_point2", site.input(1).quant.zero_point),
                ("multiplier2", scaling.input2[0]),
                ("shift2", scaling.input2[1]),
                ("output_zero_point", site.output().quant.zero_point),
                ("output_multiplier", scaling.output[0]),
                ("output_shift", scaling.output[1]),
                ("output_min", low),
                ("output_max", high),
            ),
            arguments=arguments,
        )
        return (call,)


@dataclass(frozen=True, slots=True)
class Add(AddOrSub):
    """input 0 + input 1."""

    name = "add"
    sign = 1
