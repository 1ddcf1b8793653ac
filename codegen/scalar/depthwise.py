"""DEPTHWISE_CONV_2D straight from its input: one output pixel, a block of channels at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.codegen.kernel_tools.arguments import row_arguments, waiting_pixels
from thimble.codegen.kernel_tools.plain_layer import plain_layer
from thimble.codegen.kernel_tools.sizes import Sizes, sizes_of
from thimble.codegen.scalar.core import Core
from thimble.codegen.scalar.layer import Tail, blocked_weights, constant_tables, fuse_tail
from thimble.codegen.scalar.rendering import kernel_source
from thimble.codegen.variants import Variant
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import KernelCall, Table

MAX_TAPS = 64
"""Largest window taken: the kernel keeps a pointer for each tap on the stack."""

MAX_UNROLLED_TAPS = 9
MAX_BLOCK = 4

BLOCKS = (1, 2, 3, 6, 8)
"""Channels at a time that may be faster than the most that divide all of them."""


@dataclass(frozen=True, slots=True)
class DepthwiseForm:
    """What one function is generated for; `block` divides the channels.

    `is_late`: each pixel is written when the next one is made.
    """

    kernel_height: int
    kernel_width: int
    block: int
    tail: Tail
    is_late: bool

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        return f"{self.kernel_height}x{self.kernel_width}_b{self.block}_{self.tail.name}"

    @property
    def taps(self) -> int:
        """Products of one output."""
        return self.kernel_height * self.kernel_width

    @property
    def unrolled(self) -> bool:
        """Whether there is no loop over the taps."""
        return self.taps <= MAX_UNROLLED_TAPS


def specialise_depthwise(site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int) -> KernelCall | None:
    """Blocks of channels in place of thimble_depthwise_conv_2d_s8, or of the one that writes late; None where the
    preconditions do not hold."""
    layer = plain_layer(site, call, channel_axis=3)
    sizes = sizes_of(call)
    plain_windows = sizes["multiplier"] == sizes["dilation_height"] == sizes["dilation_width"] == 1
    if layer is None or not plain_windows or sizes["kernel_height"] * sizes["kernel_width"] > MAX_TAPS:
        return None
    fused = fuse_tail(layer, core)
    if fused is None:
        return None
    tail, constants = fused
    channels, waiting = len(layer.weights), waiting_pixels(call)
    form = DepthwiseForm(
        kernel_height=sizes["kernel_height"],
        kernel_width=sizes["kernel_width"],
        block=next(n for n in range(core.variant.at_once or MAX_BLOCK, 0, -1) if channels % n == 0),
        tail=tail,
        is_late=bool(waiting),
    )
    kept = ("input_height", "input_width", "stride_height", "stride_width", "pad_top", "pad_left")
    made = ("output_height", "output_width", "output_zero_point", "output_min", "output_max")
    params = (("channels", channels), *((name, sizes[name]) for name in (*kept, *made)))
    border = Table("border", np.full(channels, layer.input_zero_point, np.int8))
    weights = blocked_weights(layer.weights, form.block)
    tables = constant_tables(layer.start, constants, form.block)
    name = f"depthwise_conv_2d_{'late_' * form.is_late}scalar_{form.name}"
    arguments = row_arguments(border, weights, *tables, *waiting)
    return KernelCall(name, params, arguments, kernel_source("depthwise_conv_2d_scalar", name, form=form))


def depthwise_variants(sizes: Sizes, whole: bool) -> tuple[Variant, ...]:
    """Ways to make a depthwise convolution that may be faster than the default one."""
    return tuple(Variant("", block) for block in BLOCKS if sizes["output_channels"] % block == 0)
