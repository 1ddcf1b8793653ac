"""DEQUANTIZE: integers to the real numbers that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Input, KernelCall, Operator, Output, Overlap, Rounding, Shape
from thimble.compiler.ir.types import DType, QuantParams
from thimble.compiler.ops.constraints import input_types, output_types, quantized_integers
from thimble.compiler.ops.overlapping import element_by_element

KERNELS = {DType.INT8: "dequantize_s8", DType.UINT8: "dequantize_u8", DType.INT16: "dequantize_s16"}


@dataclass(frozen=True, slots=True)
class Dequantize(Operator):
    """Output of the input's shape, float32: scale * (q - zero_point), the product in float32."""

    name = "dequantize"
    moves_values = True
    constraints = (input_types(*KERNELS), output_types(DType.FLOAT32), quantized_integers)

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        return (site.input(0).type.shape,)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        return (dequantized(inputs[0], site.input(0).quant),)

    def overlaps(self, site: Site) -> tuple[Overlap, ...]:
        return element_by_element(site)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        given = site.input(0)
        call = KernelCall(
            kernel=KERNELS[given.type.dtype],
            params=(
                ("count", given.type.elements),
                ("scale", given.quant.scale),
                ("zero_point", given.quant.zero_point),
            ),
            arguments=(Input(0), Output()),
        )
        return (call,)


def dequantized(stored: Array, quant: QuantParams) -> Array:
    """The real numbers, float32, that stored integers stand for: scale * (q - zero_point), for each slice its own."""
    slices = [1] * stored.ndim
    if not quant.per_tensor:
        slices[quant.axis] = len(quant.scales)
    zero_points = np.asarray(quant.zero_points, np.int64).reshape(slices)
    with np.errstate(all="ignore"):
        units = (stored.astype(np.int64) - zero_points).astype(np.float32)
        return np.asarray(units * np.asarray(quant.scales, np.float32).reshape(slices), np.float32)
