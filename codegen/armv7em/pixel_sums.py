"""Pools and sums over an image on Armv7E-M: four channels at a time, sums as two lanes of 16 bits to a word."""

from __future__ import annotations

from dataclasses import replace

from thimble.codegen.armv7em.core import Core
from thimble.codegen.kernel_tools.pools import sums_of_pixels, window_fits
from thimble.codegen.kernel_tools.sizes import sizes_of
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import KernelCall

FEW_ELEMENTS = 1024
"""Elements that plain C pools in some 10,000 cycles, with half of the code."""


def specialise_average_pool(
    site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int
) -> KernelCall | None:
    """The kernel of lanes in place of thimble_average_pool_2d_s8; None where a window is too large or too thin.

    None too for compact kernels where the pool takes few cycles anyway.
    """
    sizes = sizes_of(call)
    if not window_fits(sizes) or sizes["channels"] < 4:
        return None
    if core.compact and site.input(0).type.elements <= FEW_ELEMENTS:
        return None
    return replace(call, kernel="average_pool_2d_dsp")


def specialise_max_pool(site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int) -> KernelCall | None:
    """Four bytes at a time in place of thimble_max_pool_2d_s8; None where channels are few."""
    return None if sizes_of(call)["channels"] < 4 else replace(call, kernel="max_pool_2d_dsp")


def specialise_sum(site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int) -> KernelCall | None:
    """Sums of pixels in place of thimble_reduce_sum_s8; None where other axes are reduced, or channels are few."""
    return None if site.output().type.elements < 4 else sums_of_pixels(site, call, "reduce_pixels_dsp")


def specialise_accumulation(
    site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int
) -> KernelCall | None:
    """The kernel of lanes in place of one that adds up rows in 16 bits; None where channels are few."""
    channels = dict(call.params)["channels"]
    if not isinstance(channels, int) or channels < 4:
        return None
    return replace(call, kernel=call.kernel.replace("_s8_s16", "_dsp"))
