"""AVERAGE_POOL_2D and sums over an image on Armv7E-M: four channels at a time, two lanes of 16 bits to a word."""

from __future__ import annotations

from dataclasses import replace

from thimble.codegen.armv7em.core import Core
from thimble.codegen.kernel_tools.sizes import sizes_of
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import KernelCall

MAX_WINDOW = 255
"""The most int8 whose sum surely fits 16 bits."""


def specialise_average_pool(
    site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int
) -> KernelCall | None:
    """The kernel of lanes in place of thimble_average_pool_2d_s8; None where a window is too large or too thin."""
    sizes = sizes_of(call)
    height = min(sizes["kernel_height"], sizes["input_height"])
    width = min(sizes["kernel_width"], sizes["input_width"])
    if height * width > MAX_WINDOW or sizes["channels"] < 4:
        return None
    return replace(call, kernel="average_pool_2d_dsp")


def specialise_accumulation(
    site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int
) -> KernelCall | None:
    """The kernel of lanes in place of one that adds up rows in 16 bits; None where channels are few."""
    channels = dict(call.params)["channels"]
    if not isinstance(channels, int) or channels < 4:
        return None
    return replace(call, kernel=call.kernel.replace("_s8_s16", "_dsp"))
