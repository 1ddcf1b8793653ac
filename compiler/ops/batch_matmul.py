"""BATCH_MATMUL: products of two batches of matrices, either of which may be computed or constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Input, KernelCall, Operator, Output, Rounding, Shape
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import input_types, per_tensor, rank_at_most, same_types
from thimble.compiler.ops.convolution import NARROW_MAX_SHIFT, exact_matmul
from thimble.compiler.ops.convolution_constraints import largest_magnitude
from thimble.compiler.ops.fixed_point import INT32_MAX, quantize_multiplier, requantize, saturate, wrap_int32

_BATCH_AXES = 3  # TFLite Micro takes ranks 2 to 5


def second_per_tensor(site: Site) -> bool:
    """Input 1 must be quantized with one positive scale and one zero point in the range of int8."""
    quant = site.input(1).type.quant
    return quant is not None and quant.per_tensor and quant.scale > 0 and -128 <= quant.zero_point <= 127


def scales_fit(site: Site) -> bool:
    """The product of the inputs' scales must be within float32, and below 2^29 times the output's scale."""
    product = site.input(0).quant.scale * site.input(1).quant.scale
    return product <= float(np.finfo(np.float32).max) and output_multiplier(site, Rounding.TFLM)[1] <= NARROW_MAX_SHIFT


def product_fits(site: Site) -> bool:
    """The largest possible sum of products must fit 32 bits, or the accumulator could overflow."""
    op, left, right = site.op, site.input(0), site.input(1)
    if not isinstance(op, BatchMatmul) or {left.type.dtype, right.type.dtype} != {DType.INT8}:
        return False
    reach = largest_magnitude(DType.INT8, left.quant.zero_point) * largest_magnitude(DType.INT8, right.quant.zero_point)
    return reach * op.matrices(site)[0][1] <= INT32_MAX


@dataclass(frozen=True, slots=True)
class BatchMatmul(Operator):
    """Inputs (..., R, D) and (..., D, C), output (..., R, C); leading dimensions broadcast.

    `adjoint_x` says that the first is stored as (..., D, R), `adjoint_y` that the second is as (..., C, D).
    """

    adjoint_x: bool
    adjoint_y: bool

    name = "batch_matmul"
    constraints = (
        input_types(DType.INT8),
        same_types,
        rank_at_most(2 + _BATCH_AXES),
        per_tensor,
        second_per_tensor,
        scales_fit,
        product_fits,
    )

    def matrices(self, site: Site) -> tuple[tuple[int, int], tuple[int, int]]:
        """(R, D) of the first input and (D, C) of the second."""
        x, y = site.input(0).type.shape[-2:], site.input(1).type.shape[-2:]
        left = (x[1], x[0]) if self.adjoint_x else (x[0], x[1])
        right = (y[1], y[0]) if self.adjoint_y else (y[0], y[1])
        return left, right

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        x, y = site.input(0).type.shape, site.input(1).type.shape
        if min(len(x), len(y)) < 2 or 0 in x or 0 in y:
            raise MalformedModel(f"{site.source} needs inputs of rank 2 or more that are not empty, not {x} and {y}.")
        (rows, depth), (other_depth, columns) = self.matrices(site)
        try:
            batches = np.broadcast_shapes(x[:-2], y[:-2])
        except ValueError:
            depth = -1
        if depth != other_depth:
            raise MalformedModel(f"{site.source} cannot multiply matrices of shapes {x} and {y}.")
        return ((*batches, rows, columns),)

    def macs(self, site: Site) -> int:
        return site.output().type.elements * self.matrices(site)[0][1]

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        left = inputs[0].astype(np.int32) - site.input(0).quant.zero_point
        right = inputs[1].astype(np.int32) - site.input(1).quant.zero_point
        left = left.swapaxes(-1, -2) if self.adjoint_x else left
        right = right.swapaxes(-1, -2) if self.adjoint_y else right
        multiplier, shift = output_multiplier(site, rounding)
        scaled = requantize(exact_matmul(left, right), multiplier, shift)
        return (saturate(wrap_int32(scaled + site.output().quant.zero_point), -128, 127, np.int8),)

    def float_reference(self, site: Site, inputs: Sequence[Array]) -> tuple[Array, ...]:
        left, right = inputs[:2]
        left = left.swapaxes(-1, -2) if self.adjoint_x else left
        right = right.swapaxes(-1, -2) if self.adjoint_y else right
        return (np.asarray(left @ right, site.output().type.dtype.numpy),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        (rows, depth), (_, columns) = self.matrices(site)
        batches = site.output().type.shape[:-2]
        multiplier, shift = output_multiplier(site, rounding)
        call = KernelCall(
            kernel="batch_matmul_s8",
            params=(
                ("batches", (1,) * (_BATCH_AXES - len(batches)) + batches),
                ("left_batch_strides", _batch_strides(site.input(0).type.shape)),
                ("right_batch_strides", _batch_strides(site.input(1).type.shape)),
                ("rows", rows),
                ("depth", depth),
                ("columns", columns),
                ("left_row_stride", 1 if self.adjoint_x else depth),
                ("left_depth_stride", rows if self.adjoint_x else 1),
                ("right_depth_stride", 1 if self.adjoint_y else columns),
                ("right_column_stride", depth if self.adjoint_y else 1),
                ("left_zero_point", site.input(0).quant.zero_point),
                ("right_zero_point", site.input(1).quant.zero_point),
                ("output_zero_point", site.output().quant.zero_point),
                ("multiplier", multiplier),
                ("shift", shift),
            ),
            arguments=(Input(0), Input(1), Output()),
        )
        return (call,)


def output_multiplier(site: Site, rounding: Rounding) -> tuple[int, int]:
    """Multiplier and shift of s_x * s_y / s_out: TFLite Micro multiplies in double, LiteRT first in float32."""
    left, right = site.input(0).quant.scale, site.input(1).quant.scale
    product = left * right if rounding is Rounding.TFLM else float(np.float32(left) * np.float32(right))
    return quantize_multiplier(product / site.output().quant.scale)


def _batch_strides(shape: Shape) -> tuple[int, ...]:
    """Elements from one matrix to the next along each batch axis; 0 where the axis broadcasts."""
    strides: list[int] = []
    stride = shape[-1] * shape[-2]
    for dim in reversed((1,) * (2 + _BATCH_AXES - len(shape)) + shape[:-2]):
        strides.insert(0, 0 if dim == 1 else stride)
        stride *= dim
    return tuple(strides)
