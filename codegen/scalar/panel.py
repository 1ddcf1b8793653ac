"""CONV_2D with two products in one multiplication: words of two pixels by weights of one byte.

A word x1 * 2**16 + x0 times w is w * x1 in the upper half and w * x0 in the lower one. Sums of a few taps stay in their
halves, which is proved for the weights at hand; then `both += s` and `high += (s + 2**15) >> 16` over all of them give
the sums of both pixels: high, and both - high * 2**16.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.codegen.kernel_tools.arguments import row_arguments
from thimble.codegen.kernel_tools.plain_layer import PlainLayer
from thimble.codegen.kernel_tools.requantize import Requantization
from thimble.codegen.kernel_tools.sizes import Sizes, window_kernel_params
from thimble.codegen.scalar.core import Core
from thimble.codegen.scalar.layer import Tail, block_size, blocked_weights, constant_tables
from thimble.codegen.scalar.pair_sums import SEGMENT, pair_sums_listing
from thimble.codegen.scalar.rendering import kernel_source
from thimble.compiler.ir.operator import Array, KernelCall, Scratch, Table

MAX_PANEL_BYTES = 8192
"""Windows that need more are read where they lie."""

MAX_REACH = 1 << 16
"""Longest side of a window taken: the kernel adds up places in it in 32 bits."""

MIN_CHANNELS = 4
"""Fewer output channels do not pay for copying the windows."""


@dataclass(frozen=True, slots=True)
class PanelForm:
    """What one function is generated for: `words` pairs of pixels by `block` channels, `segment` taps a sum."""

    block: int
    words: int
    segment: int
    in_assembly: bool
    tail: Tail

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        return f"b{self.block}w{self.words}n{self.segment}{'a' * self.in_assembly}_{self.tail.name}"

    def depth_of(self, taps: int) -> int:
        """Taps of a window and, behind them, some without a weight."""
        return -(-taps // self.segment) * self.segment

    def panel_bytes(self, taps: int) -> int:
        """Scratch for the windows."""
        return 4 * self.words * self.depth_of(taps)


def panel_call(
    layer: PlainLayer,
    sizes: Sizes,
    tail: Tail,
    constants: Requantization,
    core: Core,
    pixels: int,
    limit_bytes: int,
) -> KernelCall | None:
    """The kernel for a dense convolution that makes at most `pixels` output pixels a call; None where none suits."""
    channels, taps = layer.weights.shape
    reach = max(sizes[f"dilation_{axis}"] * sizes[f"kernel_{axis}"] for axis in ("height", "width"))
    if channels < MIN_CHANNELS or reach > MAX_REACH:
        return None
    forms = [
        PanelForm(block if core.pair_sums else block_size(channels, block), words, SEGMENT, core.pair_sums, tail)
        for words, block in core.panels
        if core.variant.at_once in (0, words)
    ]
    limit = min(MAX_PANEL_BYTES, limit_bytes)
    fitting = [form for form in forms if form.panel_bytes(taps) <= limit]
    if not fitting or not halves_hold(layer.weights, SEGMENT):
        return None
    form = min(fitting, key=lambda form: _relative_cycles(form, pixels))
    depth = form.depth_of(taps)
    padded = np.zeros((channels, depth), np.int8)
    padded[:, :taps] = layer.weights
    params = (*window_kernel_params(sizes, ("group_channels",)), ("depth", depth))
    tables = constant_tables(layer.start, constants, form.block)
    table = blocked_weights(padded, form.block)
    weights = _weight_words(table) if form.in_assembly else table
    arguments = row_arguments(weights, *tables, Scratch(form.panel_bytes(taps), "uint32_t"))
    name = f"conv_2d_panel_scalar_{form.name}"
    source = kernel_source(
        "conv_2d_panel_scalar",
        name,
        needs=("panel_scalar",),
        form=form,
        assembly=pair_sums_listing(f"thimble_pair_sums_{form.name}").text if form.in_assembly else None,
    )
    return KernelCall(name, params, arguments, source)


def _weight_words(table: Table) -> Table:
    """The same bytes as words, which lie at addresses that are multiples of 4."""
    return Table(table.name, table.data.reshape(-1).view(np.int32))


def _relative_cycles(form: PanelForm, pixels: int) -> float:
    """Of a call that makes `pixels` pixels, groups being full: what 2 pixels more share was measured to save."""
    made = -(-pixels // (2 * form.words)) * 2 * form.words
    return made * (1 + 1 / (4 * form.words))


def halves_hold(weights: Array, segment: int) -> bool:
    """Whether the products of any `segment` taps in a row of weights (channels, depth) add up within 16 bits."""
    channels, depth = weights.shape
    padded = np.zeros((channels, -(-depth // segment) * segment), np.int32)
    padded[:, :depth] = weights
    parts = padded.reshape(channels, -1, segment)
    positive, negative = np.maximum(parts, 0).sum(axis=2), np.maximum(-parts, 0).sum(axis=2)
    most, least = 127 * positive + 128 * negative, 128 * positive + 127 * negative
    return bool((most < 1 << 15).all() and (least <= 1 << 15).all())
