"""NEG: the negative."""

from __future__ import annotations

from dataclasses import dataclass

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import input_types, per_tensor, same_input_output_type, same_quantization
from thimble.compiler.ops.fixed_point import Int64
from thimble.compiler.ops.unary import UnaryOperator


def zero_points_zero(site: Site) -> bool:
    """Zero points must be 0: the stored values themselves are negated."""
    return site.input(0).quant.zero_point == 0


@dataclass(frozen=True, slots=True)
class Neg(UnaryOperator):
    """-x, as LiteRT's kernel has it, since TFLite Micro has none for integers; the negative of -128 is -128."""

    name = "neg"
    constraints = (
        input_types(DType.INT8),
        same_input_output_type,
        per_tensor,
        same_quantization,
        zero_points_zero,
    )

    def real(self, x: Array) -> Array:
        return -x

    def compute(self, site: Site, x: Int64) -> Int64:
        return (128 - x) % 256 - 128
