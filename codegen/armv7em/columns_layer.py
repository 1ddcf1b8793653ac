"""CONV_2D by windows that become columns on Armv7E-M: which layers can, their packed weights and their kernel call."""

from __future__ import annotations

import numpy as np

from thimble.codegen.armv7em.conv_layer import ConvLayer
from thimble.codegen.armv7em.matmul import UNROLL, MatmulForm, conv_2d_source
from thimble.codegen.armv7em.packing import PairsLayout, call_arguments, pair_words
from thimble.codegen.armv7em.partial_matmul import PartialMatmulForm, conv_2d_partial_source
from thimble.codegen.armv7em.sums import Arithmetic
from thimble.codegen.kernel_tools.sizes import Sizes, are_pixels_inside, window_kernel_params
from thimble.compiler.ir.operator import KernelCall

PANEL_BYTES = 4608
"""Most scratch for the columns of one matrix product, unless four columns alone need more."""

MAX_DEPTH = 1 << 13
"""Deepest window taken: its four columns take 64 KiB of scratch."""

MAX_KERNEL_HEIGHT = 16
"""Highest window taken: THIMBLE_MAX_KERNEL_HEIGHT in the runtime."""

MAX_COLUMNS = 16
"""THIMBLE_MAX_COLUMNS in the runtime."""

MAX_SINGLE_COLUMNS = 2
"""THIMBLE_MAX_TAILS in the runtime: so many columns behind groups of four are made one by one."""


def by_columns(given: ConvLayer, least: int) -> KernelCall | None:
    """As many columns at once as fit, but no fewer than `least`, unless there are fewer."""
    layer, sizes, limit = given.layer, given.sizes, given.limit_bytes
    channels, taps = layer.weights.shape
    depth = -(-taps // 4) * 4
    if depth > MAX_DEPTH or sizes["kernel_height"] > MAX_KERNEL_HEIGHT:
        return None
    weights = np.zeros((channels, depth), np.int64)
    weights[:, :taps] = layer.weights
    form = MatmulForm(given.arithmetic, depth // 4 % UNROLL, are_pixels(sizes))
    pixels = given.site.output().type.elements // channels
    columns = given.core.variant.at_once or _columns_at_once(depth, pixels, limit)
    scratch = 2 * columns * depth + depth
    if columns < min(least, pixels) or scratch > limit:
        return None
    words = pair_words(weights, layer.start, given.constants, given.arithmetic.folded)
    params = _column_params(sizes, depth, columns, given.arithmetic)
    source = conv_2d_source(form, given.core.has_fpu)
    layout = PairsLayout(
        given.arithmetic, channels, depth // 2, "{sizes}depth / 2", f"thimble_matmul_dsp_{form.name}", "columns"
    )
    return KernelCall(form.kernel, params, call_arguments(words, scratch, layout), source)


def are_pixels(sizes: Sizes) -> bool:
    """Whether windows are single pixels inside of the input, of whole words."""
    ones = sizes["kernel_height"] == sizes["kernel_width"] == 1
    return ones and are_pixels_inside(sizes) and sizes["input_channels"] % 4 == 0


def by_parts(given: ConvLayer) -> KernelCall | None:
    """Windows of several rows that are whole words each: one row of four windows at a time."""
    layer, sizes, limit = given.layer, given.sizes, given.limit_bytes
    channels, depth = layer.weights.shape
    row_bytes = sizes["kernel_width"] * sizes["input_channels"]
    scratch = 8 * row_bytes + 32 * -(-channels // 2) + row_bytes
    if sizes["kernel_height"] == 1 or row_bytes % 4 or scratch > limit or depth > MAX_DEPTH:
        return None
    form = PartialMatmulForm(given.arithmetic, row_bytes // 4 % UNROLL)
    words = pair_words(layer.weights.astype(np.int64), layer.start, given.constants, given.arithmetic.folded)
    params = _column_params(sizes, depth, 4, given.arithmetic)
    source = conv_2d_partial_source(form, given.core.has_fpu)
    layout = PairsLayout(given.arithmetic, channels, depth // 2, "{sizes}depth / 2")
    return KernelCall(f"conv_2d_partial_dsp_{form.name}", params, call_arguments(words, scratch, layout), source)


def _column_params(sizes: Sizes, depth: int, columns: int, arithmetic: Arithmetic) -> tuple[tuple[str, int], ...]:
    return (
        *window_kernel_params(sizes, ("group_channels", "output_zero_point")),
        ("depth", depth),
        ("columns", columns),
        ("folded", int(arithmetic.folded)),
        ("shift", arithmetic.shift),
    )


def _columns_at_once(depth: int, pixels: int, limit_bytes: int) -> int:
    """Columns of one matrix product: more of them read the weights from flash less often. 0 where none fits."""
    most = min((limit_bytes - depth) // (2 * depth), MAX_COLUMNS, -(-pixels // 4) * 4)
    most = min(most, max(PANEL_BYTES // (2 * depth), 4))
    return next((n for n in range(most, 0, -1) if n % 4 <= MAX_SINGLE_COLUMNS), 0)
