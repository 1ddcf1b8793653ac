"""ELU: the identity above zero, exp(x) - 1 below."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import input_types, per_tensor, same_input_output_type
from thimble.compiler.ops.fixed_point import INT32_MAX, Int64
from thimble.compiler.ops.unary import UnaryOperator


def results_fit(site: Site) -> bool:
    """The largest result, 255 * input scale / output scale, must fit 32 bits, and 1 / output scale float32."""
    scale = site.output().quant.scale
    return 256 * site.input(0).quant.scale < (INT32_MAX - 128) * scale and scale >= 2.0**-127


@dataclass(frozen=True, slots=True)
class Elu(UnaryOperator):
    """x where it is not negative, exp(x) - 1 elsewhere."""

    name = "elu"
    constraints = (
        input_types(DType.INT8),
        same_input_output_type,
        per_tensor,
        results_fit,
    )

    def real(self, x: Array) -> Array:
        return np.where(x >= 0, x, np.expm1(x))

    def compute(self, site: Site, x: Int64) -> Int64:
        """float32 arithmetic, as TFLite Micro fills its table (kernels/elu.cc); the firmware holds only the results."""
        source, target = site.input(0).quant, site.output().quant
        real = np.float32(source.scale) * (x - source.zero_point).astype(np.float32)
        # The C library's float exp() is exact to the last bit almost always; so is a rounded double.
        exponential = np.exp(np.minimum(real, 0).astype(np.float64)).astype(np.float32)
        transformed = np.where(real < 0, exponential - np.float32(1), real)
        with np.errstate(over="ignore"):
            steps = transformed * (np.float32(1) / np.float32(target.scale))
        rounded = np.trunc(steps + np.copysign(np.float32(0.5), steps))
        return np.clip(rounded + np.float32(target.zero_point), -128, 127).astype(np.int64)
