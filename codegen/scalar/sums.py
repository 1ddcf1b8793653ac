"""Sums over an image on cores without SIMD instructions: each channel along one pointer."""

from __future__ import annotations

from thimble.codegen.kernel_tools.pools import sums_of_pixels
from thimble.codegen.scalar.core import Core
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import KernelCall


def specialise_sum(site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int) -> KernelCall | None:
    """Sums of pixels in place of thimble_reduce_sum_s8; None where other axes are reduced."""
    return sums_of_pixels(site, call, "reduce_pixels_scalar")
