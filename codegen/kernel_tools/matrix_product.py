"""BATCH_MATMUL as its plain call says it: sizes, and what is proved of its sums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.codegen.kernel_tools.requantize import PlainRequantization
from thimble.codegen.kernel_tools.sizes import sizes_of
from thimble.compiler.ir.operator import KernelCall, ParamValue
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.convolution_constraints import largest_magnitude

FULL_BYTES = 8 << 10
"""Columns that are laid out at once take no more scratch than this: more would save little of laying out rows."""


@dataclass(frozen=True, slots=True)
class MatrixProduct:
    """Products of matrices (rows, depth) and (depth, columns); |sum| <= bound for any bytes."""

    depth: int
    columns: int
    multiplier: int
    shift: int
    output_zero_point: int
    bound: int
    params: tuple[tuple[str, ParamValue], ...]

    @classmethod
    def of(cls, call: KernelCall) -> MatrixProduct:
        """The product of a call of thimble_batch_matmul_s8; `params` are its numbers as fields of `matmul`."""
        n = sizes_of(call)
        reach = [largest_magnitude(DType.INT8, n[f"{side}_zero_point"]) for side in ("left", "right")]
        fields = tuple((f"matmul.{name}", value) for name, value in call.params)
        numbers = (n["depth"], n["columns"], n["multiplier"], n["shift"], n["output_zero_point"])
        return cls(*numbers, reach[0] * reach[1] * n["depth"], fields)

    @property
    def requantization(self) -> PlainRequantization:
        """How sums become outputs, for kernels that fuse it."""
        multipliers, shifts, bounds = np.array([[self.multiplier], [self.shift], [self.bound]], np.int64)
        return PlainRequantization(multipliers, shifts, bounds, self.output_zero_point)

    @property
    def rounds_ties(self) -> bool:
        """Whether halves below the zero point show in the outputs, which have no other limits than int8."""
        return self.output_zero_point > -128

    def columns_at_once(self, block: int, column_bytes: int, fixed_bytes: int, limit_bytes: int) -> int:
        """Columns that fit beside `fixed_bytes` of scratch: whole blocks, in portions of about one size; 0 for none."""
        room = min(limit_bytes, fixed_bytes + FULL_BYTES) - fixed_bytes
        most = max(room, 0) // (block * column_bytes)
        blocks = -(-self.columns // block)
        return block * -(-blocks // -(-blocks // most)) if most else 0
