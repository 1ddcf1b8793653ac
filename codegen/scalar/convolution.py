"""CONV_2D straight from its input: one pixel, a block of output channels at a time."""

from __future__ import annotations

from dataclasses import dataclass

from thimble.codegen.kernel_tools.arguments import row_arguments, waiting_pixels
from thimble.codegen.kernel_tools.linear_sum import Residual, residual_of
from thimble.codegen.kernel_tools.plain_layer import PlainLayer, plain_layer
from thimble.codegen.kernel_tools.requantize import Requantization
from thimble.codegen.kernel_tools.sizes import Sizes, sizes_of, window_kernel_params
from thimble.codegen.scalar.core import Core
from thimble.codegen.scalar.layer import (
    Tail,
    block_size,
    blocked_weights,
    constant_tables,
    fuse_tail,
    unroll_of,
)
from thimble.codegen.scalar.panel import panel_call
from thimble.codegen.scalar.rendering import kernel_source
from thimble.codegen.variants import Variant, first_made
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Argument, InputRows, KernelCall, Scratch
from thimble.compiler.ops.conv_2d_add import RESIDUAL

PANEL, STRAIGHT = "panel", "straight"
"""Forms: windows copied as words of two pixels (panel.py), or read where they lie."""

BLOCKS, UNROLLS = (2, 4, 8), (1, 2, 4)
"""Channels at a time, and inputs in a turn, that may be faster than the default ones."""

MAX_KERNEL_HEIGHT = 16
"""Highest window taken: the kernel keeps one pointer for each of its rows."""


@dataclass(frozen=True, slots=True)
class ConvolutionForm:
    """What one function is generated for; `unroll` divides the input channels.

    `has_borders`: windows may lie partly outside; else the zero point is in what sums begin with. `adds`: outputs are
    added to a residual. `is_late`: each pixel is written when the next one is made.
    """

    block: int
    unroll: int
    has_borders: bool
    tail: Tail
    adds: bool = False
    is_late: bool = False

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        return f"{'add_' * self.adds}b{self.block}u{self.unroll}{'o' * self.has_borders}_{self.tail.name}"


def specialise_conv_2d(site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int) -> KernelCall | None:
    """Blocks of output channels in place of thimble_conv_2d_s8, or of the one that writes late; None where the
    preconditions do not hold."""
    layer = plain_layer(site, call, channel_axis=0)
    sizes = sizes_of(call)
    dense = sizes["group_channels"] == sizes["input_channels"]
    fused = fuse_tail(layer, core) if layer is not None and dense else None
    if layer is None or fused is None:
        return None
    tail, constants = fused
    made = site.output().type
    pixels = made.elements // len(layer.weights) if whole else sizes["output_width"]
    waiting = waiting_pixels(call)
    makers = {
        PANEL: lambda: None if waiting else panel_call(layer, sizes, tail, constants, core, pixels, limit_bytes),
        STRAIGHT: lambda: _straight_call(layer, sizes, tail, constants, core, waiting=waiting),
    }
    return first_made(makers, core.variant)


def specialise_conv_2d_add(
    site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int
) -> KernelCall | None:
    """The same with the addition in the tail, straight from the input; None also where no linear form is exact."""
    residual = residual_of(site)
    if residual is None:
        return None
    layer = plain_layer(residual.convolution, residual.call, channel_axis=0)
    sizes = sizes_of(residual.call)
    dense = sizes["group_channels"] == sizes["input_channels"]
    fused = fuse_tail(layer, core) if layer is not None and dense else None
    if layer is None or fused is None:
        return None
    return _straight_call(layer, sizes, *fused, core, residual)


def conv_2d_variants(sizes: Sizes, whole: bool) -> tuple[Variant, ...]:
    """Ways to make a convolution that may be faster than the default one."""
    panels = tuple(Variant(PANEL, words) for words in (1, 2))
    return panels + tuple(Variant(STRAIGHT, block, unroll) for block in BLOCKS for unroll in UNROLLS)


def _straight_call(
    layer: PlainLayer,
    sizes: Sizes,
    tail: Tail,
    constants: Requantization,
    core: Core,
    residual: Residual | None = None,
    waiting: tuple[Scratch, ...] = (),
) -> KernelCall | None:
    if not _is_taken(sizes):
        return None
    form = ConvolutionForm(
        block=block_size(len(layer.weights), core.variant.at_once or core.block),
        unroll=unroll_of(sizes["input_channels"], core.variant.unroll),
        has_borders=not _is_inside(sizes),
        tail=tail,
        adds=residual is not None,
        is_late=bool(waiting),
    )
    params = window_kernel_params(sizes, ("group_channels", "dilation_height", "dilation_width"))
    added: tuple[Argument, ...] = ()
    if residual is not None:
        params, added = (*params, *residual.params), (InputRows(RESIDUAL),)
    weights = blocked_weights(layer.weights, form.block)
    tables = constant_tables(layer.bias if form.has_borders else layer.start, constants, form.block)
    name = f"conv_2d_{'late_' * form.is_late}scalar_{form.name}"
    arguments = row_arguments(weights, *tables, *added, *waiting)
    source = kernel_source("conv_2d_scalar", name, form=form, max_kernel_height=MAX_KERNEL_HEIGHT)
    return KernelCall(name, params, arguments, source)


def _is_inside(sizes: Sizes) -> bool:
    """Whether no window has a tap outside of the input."""
    return all(
        sizes[before] == 0
        and (sizes[f"output_{axis}"] - 1) * sizes[f"stride_{axis}"] + sizes[f"kernel_{axis}"] <= sizes[f"input_{axis}"]
        for axis, before in (("height", "pad_top"), ("width", "pad_left"))
    )


def _is_taken(sizes: Sizes) -> bool:
    return sizes["dilation_height"] == sizes["dilation_width"] == 1 and sizes["kernel_height"] <= MAX_KERNEL_HEIGHT
