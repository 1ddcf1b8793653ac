"""CONV_2D with two products in one multiplication: words of two pixels by weights of one byte.

A word x1 * 2**16 + x0 times w is w * x1 in the upper half and w * x0 in the lower one. Sums of a few taps stay in their
halves, which is proved for the weights at hand; then `both += s` and `high += (s + 2**15) >> 16` over all of them give
the sums of both pixels: high, and both - high * 2**16.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.codegen.kernel_tools.plain_layer import PlainLayer
from thimble.codegen.kernel_tools.requantize import Requantization
from thimble.codegen.scalar.core import Core
from thimble.codegen.scalar.layer import Tail, block_size, blocked_weights, constant_tables
from thimble.codegen.scalar.rendering import kernel_source
from thimble.compiler.ir.operator import Array, EndRow, FirstRow, InputRows, KernelCall, OutputRows, Scratch

MAX_PANEL_BYTES = 8192
"""Windows that need more are read where they lie."""

MIN_CHANNELS = 4
"""Fewer output channels do not pay for copying the windows."""


@dataclass(frozen=True, slots=True)
class PanelForm:
    """What one function is generated for: `words` pairs of pixels by `block` channels, `segment` taps a sum."""

    depth: int
    channels: int
    block: int
    words: int
    segment: int
    tail: Tail

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        return f"{self.depth}_{self.channels}_b{self.block}w{self.words}n{self.segment}{self.tail.name}"

    @property
    def padded_depth(self) -> int:
        """Taps of a window and, behind them, some without a weight."""
        return -(-self.depth // self.segment) * self.segment

    @property
    def blocks(self) -> int:
        """Blocks of output channels, the last perhaps not full."""
        return -(-self.channels // self.block)

    @property
    def bias(self) -> int:
        """What takes the roundings of all segments off `both`, modulo 2**32."""
        return -(self.padded_depth // self.segment << 15) % (1 << 32)

    @property
    def panel_bytes(self) -> int:
        """Scratch for the windows."""
        return 4 * self.words * self.padded_depth


def panel_call(
    layer: PlainLayer,
    sizes: dict[str, int],
    tail: Tail,
    constants: Requantization,
    core: Core,
    pixels: int,
    limit_bytes: int,
) -> KernelCall | None:
    """The kernel for a dense convolution that makes at most `pixels` output pixels a call; None where none suits."""
    channels, depth = layer.weights.shape
    if channels < MIN_CHANNELS or not halves_hold(layer.weights, SEGMENT):
        return None
    forms = [
        PanelForm(depth, channels, block_size(channels, block), words, SEGMENT, tail) for words, block in core.panels
    ]
    limit = min(MAX_PANEL_BYTES, limit_bytes)
    fitting = [form for form in forms if form.panel_bytes <= limit]
    if not fitting:
        return None
    form = min(fitting, key=lambda form: _relative_cycles(form, pixels))
    weights = np.zeros((channels, form.padded_depth), np.int8)
    weights[:, :depth] = layer.weights
    dropped = ("group_channels", "output_channels")
    params = tuple((name, value) for name, value in sizes.items() if name not in dropped)
    tables = constant_tables(layer.start, constants, form.blocks * form.block)
    arguments = (
        InputRows(0),
        blocked_weights(weights, form.block),
        *tables,
        Scratch(form.panel_bytes, "uint32_t"),
        OutputRows(0),
        FirstRow(),
        EndRow(),
    )
    name = f"conv_2d_panel_scalar_{form.name}"
    source = kernel_source("conv_2d_panel_scalar", name, needs=("panel_scalar",), form=form)
    return KernelCall(name, params, arguments, source)


SEGMENT = 2


def _relative_cycles(form: PanelForm, pixels: int) -> float:
    """Of a call that makes `pixels` pixels, groups being full: what 2 pixels more share was measured to save."""
    made = -(-pixels // (2 * form.words)) * 2 * form.words
    return made * (1 + 1 / (4 * form.words))


def halves_hold(weights: Array, segment: int) -> bool:
    """Whether the products of any `segment` taps in a row of weights (channels, depth) add up within 16 bits."""
    channels, depth = weights.shape
    padded = np.zeros((channels, -(-depth // segment) * segment), np.int64)
    padded[:, :depth] = weights
    parts = padded.reshape(channels, -1, segment)
    positive, negative = np.maximum(parts, 0).sum(axis=2), np.maximum(-parts, 0).sum(axis=2)
    most, least = 127 * positive + 128 * negative, 128 * positive + 127 * negative
    return bool((most < 1 << 15).all() and (least <= 1 << 15).all())
