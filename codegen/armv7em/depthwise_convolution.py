"""DEPTHWISE_CONV_2D on Armv7E-M: which of its kernels a layer gets, and which ones are worth measuring."""

from __future__ import annotations

from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.depthwise_direct import direct_call
from thimble.codegen.armv7em.depthwise_fill import WORD_BYTES
from thimble.codegen.armv7em.depthwise_layer import by_planes, depthwise_scales, is_column, plane_row_words
from thimble.codegen.armv7em.depthwise_pixels import pixels_call
from thimble.codegen.armv7em.depthwise_steps import steps_call
from thimble.codegen.kernel_tools.arguments import waiting_pixels
from thimble.codegen.kernel_tools.plain_layer import plain_layer
from thimble.codegen.kernel_tools.sizes import Sizes, sizes_of
from thimble.codegen.variants import DEFAULT, Maker, Variant, first_made
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import KernelCall

PIXELS_WIDTH = 2
"""Rows of so few outputs take less time straight from pixels, where calls are for single rows."""

PIXELS_BYTES = 640
"""Where planes of one output row need no more than this, tables of pixels are not worth while: they need less and take
longer."""

DIRECT_WIDTH, STRIDED_WIDTH = 16, 5
"""Rows of so many outputs of whole images take less time straight from rows than compact planes do, without a stride
and with one. Planes that are not compact are as fast or faster: with a stride by 3 to 9% up to 24 pixels."""

SMALL_IMAGE = 64
"""Outputs of a channel that are made in one call even in schedules by rows."""

PLANE_ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 28)
"""Output rows from one filling of planes that are tried by `--tune`."""


def specialise_depthwise(site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int) -> KernelCall | None:
    """A kernel in place of thimble_depthwise_conv_2d_s8, or of the one that writes late; None where the preconditions
    do not hold.

    Planes, or straight from pixels where rows are narrow or planes need too much scratch. Weights of fewer than 8 bits
    are unpacked channel by channel, for planes alone.
    """
    layer = plain_layer(site, call, channel_axis=3)
    sizes = sizes_of(call)
    dense = sizes["multiplier"] == 1 and sizes["dilation_height"] == sizes["dilation_width"] == 1
    found = depthwise_scales(layer) if layer is not None and dense else None
    if layer is None or found is None:
        return None
    if site.input(1).type.dtype.is_packed:
        return by_planes(site, layer, sizes, *found, core, whole, limit_bytes)
    makers: dict[str, Maker] = {
        "planes": lambda: by_planes(site, layer, sizes, *found, core, whole, limit_bytes),
        "direct": lambda: direct_call(layer, sizes, core.has_fpu, whole),
        "steps": lambda: steps_call(layer, sizes, core.has_fpu),
        "pixels": lambda: pixels_call(layer, sizes, *found, core.has_fpu, limit_bytes, in_place=True),
        "apart": lambda: pixels_call(layer, sizes, *found, core.has_fpu, limit_bytes, in_place=False),
    }
    waiting = waiting_pixels(call)
    if waiting:
        return pixels_call(layer, sizes, *found, core.has_fpu, limit_bytes, in_place=True, waiting=waiting)
    if core.variant == DEFAULT:
        makers = {name: makers[name] for name in _defaults(sizes, whole, core)}
    return first_made(makers, core.variant)


def _defaults(sizes: Sizes, whole: bool, core: Core) -> tuple[str, ...]:
    """What is taken where nothing was measured, the first that can be made. Weights of planes take less flash."""
    compact = core.compact
    if core.in_place:
        return ("pixels",)
    if compact and is_column(sizes):
        return ("planes", "steps") if whole else ("steps", "planes")
    if not whole and not compact and sizes["output_width"] <= PIXELS_WIDTH:
        return ("apart", "planes")
    kernel = sizes["kernel_height"], sizes["kernel_width"]
    least_bytes = WORD_BYTES * sizes["kernel_height"] * plane_row_words(sizes, kernel)
    tables = () if whole or least_bytes <= PIXELS_BYTES else ("apart",)
    if _is_better_direct(sizes, whole, compact):
        return ("direct", "planes", *tables, "pixels")
    return ("planes", "direct", *tables, "pixels") if least_bytes > PIXELS_BYTES else ("planes", "pixels")


def _is_better_direct(sizes: Sizes, whole: bool, compact: bool) -> bool:
    """Whether rows of 3x3 windows are better made without planes: one by one, and those of wide images.

    Small images are made in one call, mostly, and those of one size share a function for planes.
    """
    strided = sizes["stride_width"] > 1
    if not whole and sizes["output_height"] * sizes["output_width"] > SMALL_IMAGE:
        return True
    return compact and sizes["output_width"] >= (STRIDED_WIDTH if strided else DIRECT_WIDTH)


def depthwise_variants(sizes: Sizes, whole: bool) -> tuple[Variant, ...]:
    """Ways to make a depthwise convolution that may be faster than the default one."""
    planes = (Variant("planes", rows) for rows in PLANE_ROWS if rows <= sizes["output_height"])
    return (*planes, Variant("direct"), Variant("steps"), Variant("pixels"), Variant("apart"))
