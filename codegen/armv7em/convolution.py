"""CONV_2D on Armv7E-M: which of its kernels a layer gets, and which ones are worth measuring."""

from __future__ import annotations

from thimble.codegen.armv7em.columns_layer import MAX_COLUMNS, are_pixels, by_columns, by_parts
from thimble.codegen.armv7em.conv_layer import ConvLayer, conv_layer
from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.pointwise import MAX_ROWS, MIN_PIXELS, pointwise_call, shares_function
from thimble.codegen.armv7em.rows_layer import MIN_POINTWISE_WIDTH, by_flat_pixels, by_flat_windows, by_rows
from thimble.codegen.armv7em.window_vectors import by_window_vectors
from thimble.codegen.armv7em.windows import FEW_CHANNELS
from thimble.codegen.armv7em.winograd_layer import winograd_bytes, winograd_call
from thimble.codegen.kernel_tools.arguments import waiting_pixels
from thimble.codegen.kernel_tools.sizes import Sizes
from thimble.codegen.variants import Maker, Variant, first_made
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import KernelCall

PORTIONS = (8, 16, 24, 32, 48, 64, 96, 128, 192)
"""Pixels of widened rows at once that are tried by `--tune`."""

UNROLLS = (2, 3, 4, 6, 8)
"""Steps in a turn of the inner loop that are tried."""

MAX_WHOLE_PIXELS = 16
"""Pointwise layers of up to so many pixels, in rows of less than four, wait for all of their input: so they share the
function of other layers."""


def specialise_conv_2d(site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int) -> KernelCall | None:
    """A packed matrix product in place of thimble_conv_2d_s8; None where the preconditions do not hold."""
    given = conv_layer(site, call, core, limit_bytes)
    if given is None:
        return None
    layer, sizes = given.layer, given.sizes
    may_transform = whole and winograd_bytes(site) <= core.winograd_bytes
    makers: dict[str, Maker] = {
        "tiles": lambda: winograd_call(layer, sizes, core, limit_bytes) if may_transform else None,
        "flat": lambda: by_flat_pixels(given) if whole else None,
        "rows": lambda: by_rows(given),
        "windows": lambda: by_flat_windows(given) if whole else None,
        "columns": lambda: by_columns(given, MIN_PIXELS),
        "parts": lambda: by_parts(given),
        "singles": lambda: by_columns(given, 1),
        "pointwise": lambda: _by_pointwise(given, whole),
        "vectors": lambda: by_window_vectors(given),
    }
    if sizes["input_channels"] <= FEW_CHANNELS:
        makers = {name: makers[name] for name in ("tiles", "flat", "windows", *makers)}  # windows before rows
    if core.compact and not core.variant.form:
        if (whole or sizes["output_width"] >= MIN_POINTWISE_WIDTH) and shares_function(_pointwise_sizes(given, whole)):
            return makers["pointwise"]() or makers["vectors"]()  # others would need functions of their own
        if not whole and shares_function(_pointwise_sizes(given, True)) and given.pixels <= MAX_WHOLE_PIXELS:
            return makers["vectors"]()
        if max(sizes["stride_height"], sizes["stride_width"]) > 1 and are_pixels(sizes):
            makers = {name: makers[name] for name in ("columns", *makers)}  # all of them share a function
    return first_made(makers, core.variant)


def specialise_conv_2d_late(
    site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int
) -> KernelCall | None:
    """Windows one at a time, of which each one's pixel is written late; None where the preconditions do not hold."""
    given = conv_layer(site, call, core, limit_bytes)
    return None if given is None else by_window_vectors(given, waiting_pixels(call))


def conv_2d_variants(sizes: Sizes, whole: bool) -> tuple[Variant, ...]:
    """Ways to make a convolution that may be faster than the default one."""
    rows = [n for n in range(1, MAX_ROWS + 1) if n <= sizes["output_height"]]
    pointwise = sizes["kernel_height"] == sizes["kernel_width"] == 1
    flat = [Variant("flat", n, unroll) for n in PORTIONS for unroll in (0, *UNROLLS)]
    return (
        Variant("tiles"),
        *((Variant("pointwise"),) if pointwise else ()),
        *(flat if whole and pointwise else ()),
        *(Variant("rows", n, unroll) for n in rows for unroll in (0, *UNROLLS)),
        *(Variant("windows", n) for n in PORTIONS if whole and not pointwise),
        *(Variant("columns", n) for n in range(4, MAX_COLUMNS + 1, 4)),
        Variant("vectors"),
    )


def _by_pointwise(given: ConvLayer, whole: bool) -> KernelCall | None:
    """Pointwise convolutions by the function that all of them share."""
    if not given.core.compact:
        return None
    sizes, core = _pointwise_sizes(given, whole), given.core
    return pointwise_call(given.layer, sizes, given.arithmetic, given.constants, core.has_fpu, given.limit_bytes)


def _pointwise_sizes(given: ConvLayer, whole: bool) -> Sizes:
    """The layer's sizes, where that is possible with all pixels in one row ("flat")."""
    sizes, pixels = given.sizes, given.pixels
    if not whole or not given.keeps_pixels:
        return {**sizes, "flat": 0}
    return {**sizes, "input_height": 1, "output_height": 1, "input_width": pixels, "output_width": pixels, "flat": 1}
