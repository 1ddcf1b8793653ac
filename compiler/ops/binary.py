"""What the element-wise operators of two inputs share: broadcasting, rescaling, their form in C, constraints."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.compiler.ir.graph import Site, Value
from thimble.compiler.ir.operator import (
    Array,
    Input,
    KernelCall,
    Output,
    Overlap,
    ParamValue,
    Rounding,
    Shape,
)
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.activation import BOUNDS, Activation, activate, bounds_fit, quantized_range
from thimble.compiler.ops.broadcast import broadcast_params, broadcast_shape
from thimble.compiler.ops.constraints import NARROW, is_per_tensor
from thimble.compiler.ops.fixed_point import Int64, has_multiplier, quantize_multiplier, requantize
from thimble.compiler.ops.overlapping import broadcast_elements
from thimble.compiler.ops.row_wise import RowWiseOperator

Params = tuple[tuple[str, ParamValue], ...]

_SUFFIXES = {DType.INT8: "s8", DType.INT16: "s16", DType.INT32: "s32", DType.BOOL: "u8"}
_QUANTIZED = (*NARROW, DType.INT16)


@dataclass(frozen=True, slots=True)
class BinaryOperator(RowWiseOperator):
    """Each output value depends on one value of each input; the inputs are broadcast to each other."""

    kernel: ClassVar[str]
    """The kernel's name before the suffix of the inputs' type, such as "_s8"."""

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        return (broadcast_shape(site),)

    @abstractmethod
    def compute(self, site: Site, a: Int64, b: Int64) -> Array:
        """Stored output values of the stored values `a` and `b`, exactly as TFLite Micro's reference kernel."""

    def real_multipliers(self, site: Site) -> tuple[float, ...]:
        """The factors of requantization to the output's scale that the scales give, for quantized types."""
        return ()

    @abstractmethod
    def params(self, site: Site) -> Params:
        """The kernel's fields after those of the broadcasting."""

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        a, b = (x.astype(np.int64) for x in inputs[:2])
        return (np.asarray(self.compute(site, a, b), site.output().type.dtype.numpy),)

    @abstractmethod
    def real(self, a: Array, b: Array) -> Array:
        """The function on plain numbers, before the fused activation."""

    def float_reference(self, site: Site, inputs: Sequence[Array]) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            result = np.asarray(self.real(*inputs[:2]), site.output().type.dtype.numpy)
        return (activate(getattr(self, "activation", Activation.NONE), result),)

    def overlaps(self, site: Site) -> tuple[Overlap, ...]:
        return broadcast_elements(site)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        call = KernelCall(
            kernel=f"{self.kernel}_{_SUFFIXES[site.input(0).type.dtype]}",
            params=(*broadcast_params(site), *self.params(site)),
            arguments=(Input(0), Input(1), Output()),
        )
        return (call,)


@dataclass(frozen=True, slots=True)
class Rescaling:
    """Brings both inputs to one scale, after a left shift that keeps precision; each pair is (multiplier, shift)."""

    left_shift: int
    input1: tuple[int, int]
    input2: tuple[int, int]

    def apply(self, site: Site, a: Int64, b: Int64) -> tuple[Int64, Int64]:
        """The stored values `a` and `b` at the common scale."""
        a = requantize((a - site.input(0).quant.zero_point) << self.left_shift, *self.input1)
        b = requantize((b - site.input(1).quant.zero_point) << self.left_shift, *self.input2)
        return a, b

    def params(self, site: Site) -> Params:
        """The fields of the two inputs in the order of the kernels' structs."""
        return (
            ("zero_point1", site.input(0).quant.zero_point),
            ("multiplier1", self.input1[0]),
            ("shift1", self.input1[1]),
            ("zero_point2", site.input(1).quant.zero_point),
            ("multiplier2", self.input2[0]),
            ("shift2", self.input2[1]),
        )


def twice_larger_scale(site: Site) -> float:
    """The common scale of ADD, SUB and SQUARED_DIFFERENCE: no input grows beyond half its size."""
    return 2 * max(site.input(0).quant.scale, site.input(1).quant.scale)


def rescale_to(site: Site, scale: float, left_shift: int) -> Rescaling:
    """Both inputs to `scale`, which is larger than theirs."""
    multipliers = (quantize_multiplier(site.input(i).quant.scale / scale) for i in range(2))
    return Rescaling(left_shift, *multipliers)


def output_params(site: Site, multiplier: tuple[int, int], limits: tuple[int, int]) -> Params:
    """The fields of a requantized and clamped output."""
    return (
        ("output_zero_point", site.output().quant.zero_point),
        ("output_multiplier", multiplier[0]),
        ("output_shift", multiplier[1]),
        ("output_min", limits[0]),
        ("output_max", limits[1]),
    )


def smaller_than_one(real: float) -> bool:
    """Whether TFLite takes `real` as a multiplier that never shifts left (QuantizeMultiplierSmallerThanOneExp)."""
    return 0 < real < 1 and quantize_multiplier(real)[1] <= 0


def activated_limits(site: Site, activation: Activation) -> tuple[int, int]:
    """[low, high] of the stored output under `activation`; plain int32 stands for itself (TFLite kernel_util.h)."""
    dtype = site.output().type.dtype
    if dtype is not DType.INT32:
        return quantized_range(activation, site.output().quant, dtype)
    low, high = dtype.range
    least, most = BOUNDS[activation]
    return low if least is None else int(least), high if most is None else int(most)


def same_operand_types(site: Site) -> bool:
    """Both inputs must have the same element type."""
    return site.input(0).type.dtype is site.input(1).type.dtype


def quantized_operands(site: Site) -> bool:
    """Tensors of 16 bits or less must be quantized with one positive scale and a zero point in range."""
    return all(is_per_tensor(value) for value in _operands(site) if value.type.dtype in _QUANTIZED)


def symmetric_operands(site: Site) -> bool:
    """int16 tensors must have zero point 0."""
    return all(value.quant.zero_point == 0 for value in _operands(site) if value.type.dtype is DType.INT16)


def int32_unquantized(site: Site) -> bool:
    """int32 tensors must carry no quantization parameters."""
    return all(value.type.quant is None for value in _operands(site) if value.type.dtype is DType.INT32)


def multipliers_in_range(site: Site) -> bool:
    """The output scale must not be so small that requantization would multiply by 2^30 or more."""
    op = site.op
    quantized = site.output().type.dtype in _QUANTIZED
    return not quantized or (isinstance(op, BinaryOperator) and all(map(has_multiplier, op.real_multipliers(site))))


def activation_in_range(site: Site) -> bool:
    """The output scale must not be so small that the bounds of the fused activation leave 32 bits."""
    activation = getattr(site.op, "activation", Activation.NONE)
    return site.output().type.dtype not in _QUANTIZED or bounds_fit(activation, site.output().quant)


def _operands(site: Site) -> list[Value]:
    return [value for value in (*site.inputs[:2], *site.outputs) if value is not None]
