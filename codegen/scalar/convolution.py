"""CONV_2D straight from its input: one pixel, a block of output channels at a time."""

from __future__ import annotations

from dataclasses import dataclass

from thimble.codegen.kernel_tools.plain_layer import plain_layer
from thimble.codegen.scalar.core import Core
from thimble.codegen.scalar.layer import Tail, block_size, blocked_weights, constant_tables, fuse_tail, unroll_of
from thimble.codegen.scalar.rendering import kernel_source
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import EndRow, FirstRow, InputRows, KernelCall, OutputRows

MAX_KERNEL_HEIGHT = 16
"""Highest window taken: the kernel keeps one pointer for each of its rows."""


@dataclass(frozen=True, slots=True)
class ConvolutionForm:
    """What one function is generated for; `unroll` divides `depth`, the input channels."""

    kernel_height: int
    kernel_width: int
    stride_height: int
    stride_width: int
    depth: int
    channels: int
    block: int
    unroll: int
    tail: Tail

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        kernel = f"{self.kernel_height}x{self.kernel_width}_{self.stride_height}x{self.stride_width}"
        return f"{kernel}_{self.depth}_{self.channels}_b{self.block}{self.tail.name}"

    @property
    def taps(self) -> int:
        """Products of one output."""
        return self.kernel_height * self.kernel_width * self.depth

    @property
    def has_borders(self) -> bool:
        """Whether windows may lie partly outside: else the zero point is in what sums begin with."""
        return (self.kernel_height, self.kernel_width) != (1, 1)

    @property
    def blocks(self) -> int:
        """Blocks of output channels, the last perhaps not full."""
        return -(-self.channels // self.block)


def specialise_conv_2d(site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int) -> KernelCall | None:
    """Blocks of output channels in place of thimble_conv_2d_s8; None where the preconditions do not hold."""
    layer = plain_layer(site, call, channel_axis=0)
    sizes = {name: value for name, value in call.params if isinstance(value, int)}
    if (
        layer is None
        or sizes["group_channels"] != sizes["input_channels"]
        or sizes["kernel_height"] > MAX_KERNEL_HEIGHT
    ):
        return None
    if (sizes["dilation_height"], sizes["dilation_width"]) != (1, 1):
        return None
    fused = fuse_tail(layer, core)
    if fused is None:
        return None
    tail, constants = fused
    depth = sizes["input_channels"]
    form = ConvolutionForm(
        kernel_height=sizes["kernel_height"],
        kernel_width=sizes["kernel_width"],
        stride_height=sizes["stride_height"],
        stride_width=sizes["stride_width"],
        depth=depth,
        channels=len(layer.weights),
        block=block_size(len(layer.weights), core.block),
        unroll=unroll_of(depth),
        tail=tail,
    )
    kept = ("input_height", "input_width", "pad_top", "pad_left", "output_height", "output_width")
    params = tuple((name, sizes[name]) for name in kept)
    params += tuple(
        (name, sizes[name]) for name in ("input_zero_point", "output_zero_point", "output_min", "output_max")
    )
    weights = blocked_weights(layer.weights, form.block)
    start = layer.bias if form.has_borders else layer.start
    tables = constant_tables(start, constants, form.blocks * form.block)
    name = f"conv_2d_scalar_{form.name}"
    arguments = (InputRows(0), weights, *tables, OutputRows(0), FirstRow(), EndRow())
    return KernelCall(name, params, arguments, kernel_source("conv_2d_scalar", name, form=form))


def _is_taken(sizes: dict[str, int]) -> bool:
    return (
        sizes["group_channels"] == sizes["input_channels"]
        and sizes["dilation_height"] == sizes["dilation_width"] == 1
        and sizes["kernel_height"] <= MAX_KERNEL_HEIGHT
    )
