"""QUANTIZE: real numbers to integers, or integers from one scale and zero point to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Input, KernelCall, Output, Overlap, ParamValue, Rounding, Shape
from thimble.compiler.ir.types import DType, QuantParams
from thimble.compiler.ops.constraints import NARROW, quantized_integers, scales_comparable
from thimble.compiler.ops.fixed_point import INT32_MIN, Int64, quantize_multiplier, requantize, saturate, wrap_int32
from thimble.compiler.ops.overlapping import element_by_element
from thimble.compiler.ops.packed import image_sizes, is_packed, packed_call
from thimble.compiler.ops.row_wise import RowWiseOperator

KERNELS = {
    (DType.FLOAT32, DType.INT8): "quantize_s8",
    (DType.FLOAT32, DType.INT16): "quantize_s16",
    (DType.INT8, DType.INT8): "requantize_s8_s8",
    (DType.INT8, DType.UINT8): "requantize_s8_u8",
    (DType.INT8, DType.INT16): "requantize_s8_s16",
    (DType.INT8, DType.INT32): "requantize_s8_s32",
    (DType.UINT8, DType.INT8): "requantize_u8_s8",
    (DType.INT16, DType.INT8): "requantize_s16_s8",
    (DType.INT16, DType.INT16): "requantize_s16_s16",
    (DType.INT16, DType.INT32): "requantize_s16_s32",
    (DType.INT32, DType.INT8): "requantize_s32_s8",
    (DType.INT32, DType.INT16): "requantize_s32_s16",
}
"""The pairs of element types that TFLite Micro converts (quantize_common.cc), and their kernels."""


def convertible(site: Site) -> bool:
    given, made = site.input(0).type.dtype, site.output().type.dtype
    return (given, made) in KERNELS or (given in NARROW and made in NARROW)


def _pairs_text() -> str:
    """The pairs in words: each type that is read with those that are made of it."""
    made: dict[str, list[str]] = {}
    for given, result in KERNELS:
        made.setdefault(given.value, []).append(result.value)
    return ", ".join(f"{given} to {' or '.join(results)}" for given, results in made.items())


convertible.__doc__ = f"Types must be {_pairs_text()}; or int8, int4 or int2 on both sides."


def halves_away_from_zero(site: Site) -> bool:
    """Floats must be rounded with halves away from zero, as in TFLite."""
    return not (isinstance(site.op, Quantize) and site.op.ties_to_even)


@dataclass(frozen=True, slots=True)
class Quantize(RowWiseOperator):
    """Output of the input's shape: zero_point + round(real / scale), saturated.

    Halves go away from zero, as in TFLite; `ties_to_even` takes them to the even neighbour, as ONNX does.
    """

    ties_to_even: bool = False

    name = "quantize"
    moves_values = True
    takes_packed = True
    constraints = (convertible, quantized_integers, scales_comparable, halves_away_from_zero)

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        return (site.input(0).type.shape,)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        given, made = site.input(0), site.output()
        if given.type.dtype is DType.FLOAT32:
            steps = divide(inputs[0], made.quant)
            units = round_to_int32(np.rint(steps) if self.ties_to_even else steps)
        else:
            centred = wrap_int32(inputs[0].astype(np.int64) - given.quant.zero_point)
            units = requantize(centred, *_multiplier(site))
        low, high = made.type.dtype.range
        return (saturate(wrap_int32(units + made.quant.zero_point), low, high, made.type.dtype.numpy),)

    def overlaps(self, site: Site) -> tuple[Overlap, ...]:
        return element_by_element(site)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        given, made = site.input(0).type, site.output().type
        count = ("count", given.elements)
        if given.dtype is DType.FLOAT32:
            quant = site.output().quant
            params = (count, ("scale", quant.scale), ("zero_point", quant.zero_point))
            return (KernelCall(KERNELS[given.dtype, made.dtype], params, (Input(0), Output())),)
        multiplier, shift = _multiplier(site)
        low, high = made.dtype.range
        scaling: tuple[tuple[str, ParamValue], ...] = (
            ("input_zero_point", site.input(0).quant.zero_point),
            ("multiplier", multiplier),
            ("shift", shift),
            ("output_zero_point", site.output().quant.zero_point),
            ("output_min", low),
            ("output_max", high),
        )
        arguments = (Input(0), Output())
        if is_packed(site):
            return (packed_call("requantize", (given.dtype, made.dtype), (*image_sizes(given), *scaling), arguments),)
        return (KernelCall(KERNELS[given.dtype, made.dtype], (count, *scaling), arguments),)


def divide(x: Array, quant: QuantParams) -> Array:
    """x / scale in float32, as the firmware divides."""
    with np.errstate(all="ignore"):
        return np.asarray(x / np.float32(quant.scale), np.float32)


def round_to_int32(x: Array) -> Int64:
    """float32 to the nearest 32-bit integer, halves away from zero; INT32_MIN for what has none, as NaN.

    INT32_MIN is what x86 gives for a conversion out of range, and so TFLite Micro's answer there.
    """
    with np.errstate(all="ignore"):
        whole = np.trunc(x)
        nearest = whole + np.where(np.abs(x - whole) >= 0.5, np.sign(x), np.float32(0))
        fits = (nearest >= -(2.0**31)) & (nearest < 2.0**31)
    return np.where(fits, nearest, INT32_MIN).astype(np.int64)


def _multiplier(site: Site) -> tuple[int, int]:
    return quantize_multiplier(site.input(0).quant.scale / site.output().quant.scale)
