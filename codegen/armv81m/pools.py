"""Pools and sums over an image on Armv8.1-M with MVE: 8 channels at a time, 16 of a maximum."""

from __future__ import annotations

from dataclasses import replace

from thimble.codegen.kernel_tools.pools import sums_of_pixels, window_fits
from thimble.codegen.kernel_tools.sizes import sizes_of
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import KernelCall


def specialise_average_pool(site: Site, call: KernelCall, whole: bool, limit_bytes: int) -> KernelCall | None:
    """Lanes of 16 bits in place of thimble_average_pool_2d_s8; None where a window is too large."""
    return replace(call, kernel="average_pool_2d_mve") if window_fits(sizes_of(call)) else None


def specialise_max_pool(site: Site, call: KernelCall, whole: bool, limit_bytes: int) -> KernelCall | None:
    """Sixteen bytes at a time in place of thimble_max_pool_2d_s8."""
    return replace(call, kernel="max_pool_2d_mve")


def specialise_accumulation(site: Site, call: KernelCall, whole: bool, limit_bytes: int) -> KernelCall | None:
    """The kernel of lanes in place of one that adds up rows in 16 bits."""
    return replace(call, kernel=call.kernel.replace("_s8_s16", "_mve"))


def specialise_sum(site: Site, call: KernelCall, whole: bool, limit_bytes: int) -> KernelCall | None:
    """Sums of pixels in place of thimble_reduce_sum_s8; None where other axes are reduced."""
    return sums_of_pixels(site, call, "reduce_pixels_mve")
