"""Pools and means: what kernels that take several channels at a time need of a layer."""

from __future__ import annotations

import numpy as np

from thimble.codegen.kernel_tools.sizes import Sizes, sizes_of
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Input, KernelCall, Output
from thimble.compiler.ops.fixed_point import wrap_int32
from thimble.compiler.ops.reduce import Reduction

MAX_WINDOW = 255
"""The most int8 whose sum surely fits 16 bits."""


def window_fits(sizes: Sizes) -> bool:
    """Whether the sum over any window of a pool fits 16 bits."""
    height = min(sizes["kernel_height"], sizes["input_height"])
    return height * min(sizes["kernel_width"], sizes["input_width"]) <= MAX_WINDOW


def sums_of_pixels(site: Site, call: KernelCall, kernel: str) -> KernelCall | None:
    """`kernel` in place of thimble_reduce_sum_s8 where all pixels become one, channel by channel; else None."""
    op = site.op
    if not isinstance(op, Reduction) or not op.keeps_channels(site):
        return None
    sizes, pixels = sizes_of(call), op.count(site)
    kept = ("multiplier", "shift", "output_zero_point")
    params = (
        ("pixels", pixels),
        ("channels", site.output().type.elements),
        ("offset", int(wrap_int32(np.array(-pixels * sizes["input_zero_point"])))),
        *((name, sizes[name]) for name in kept),
    )
    return KernelCall(kernel, params, (Input(0), Output()))
