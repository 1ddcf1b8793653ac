"""DEPTHWISE_CONV_2D on Armv8.1-M with MVE: planes of bytes, in which one instruction multiplies all taps of a window.

Four rows of the input lie in one word of each column of a plane, so that a window of 3x3 is 12 bytes, and one of 5x5
in two words a column 40. Where a column has more rows than the kernel, several output rows come from one filling, with
weights moved on by a byte a row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.codegen.armv81m.arithmetic import Arithmetic, arithmetic_of
from thimble.codegen.armv81m.blocks import LANES, requantization
from thimble.codegen.armv81m.convolution import windows_call
from thimble.codegen.armv81m.rendering import render
from thimble.codegen.kernel_tools.arguments import row_arguments
from thimble.codegen.kernel_tools.plain_layer import PlainLayer, plain_layer
from thimble.codegen.kernel_tools.sizes import Sizes, sizes_of
from thimble.codegen.kernel_tools.words import int32_words
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import (
    Array,
    GeneratedKernel,
    KernelCall,
    Scratch,
    Table,
)

PLANES_BYTES = 8192
"""Most scratch for the planes of all channels at once; above it blocks of channels take turns."""

MAX_STEPS = 4
"""Longest window, in vectors: their weights stay in registers."""

MAX_ADVANCE = 63
"""Most bytes from one window to the next: twice that is the immediate of a load."""


@dataclass(frozen=True, slots=True)
class PlanesForm:
    """What one function is generated for: windows of `steps` times 16 bytes, `advance` bytes apart.

    `moves_weights`: calls make several output rows from one filling. `transposed`: calls are for whole tensors, whose
    columns are the rows of the planes.
    """

    steps: int
    advance: int
    stride_height: int
    moves_weights: bool
    transposed: bool
    arithmetic: Arithmetic

    @property
    def is_plain(self) -> bool:
        """Whether the loop is all assembly: all shifts are to the right, and outputs only saturate."""
        return not (self.arithmetic.shifts_left or self.arithmetic.clamps)

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        moved = f"m{self.stride_height}" if self.moves_weights else ""
        return f"{self.steps}a{self.advance}{moved}{'x' * self.transposed}_{self.arithmetic.name}"


@dataclass(frozen=True, slots=True)
class Planes:
    """How planes are made: see thimble_planes_mve_params; `slack_bytes` are read behind the last one."""

    column_bytes: int
    columns: int
    rows_at_once: int
    slack_bytes: int

    @property
    def plane_bytes(self) -> int:
        """Bytes of one channel."""
        return -(-self.columns * self.column_bytes // 4) * 4

    def scratch_bytes(self, channels: int) -> int:
        """Scratch for that many channels at once: words, a border pixel, planes."""
        return 64 + -(-channels // 16) * 16 + -(-channels // 4) * 4 * self.plane_bytes + self.slack_bytes


def specialise_depthwise(site: Site, call: KernelCall, whole: bool, limit_bytes: int) -> KernelCall | None:
    """The vector kernel in place of thimble_depthwise_conv_2d_s8; None where the preconditions do not hold.

    One input channel with several output channels is a convolution.
    """
    layer = plain_layer(site, call, channel_axis=3)
    sizes = sizes_of(call)
    if layer is None:
        return None
    if sizes["input_channels"] == 1:
        dense = {name: value for name, value in sizes.items() if name != "multiplier"}
        return windows_call(site, layer, dense, whole, limit_bytes)
    arithmetic = arithmetic_of(layer)
    if arithmetic is None or sizes["multiplier"] != 1:
        return None
    return _planes_call(site, layer, sizes, arithmetic, whole, limit_bytes)


def _planes_call(
    site: Site, layer: PlainLayer, sizes: Sizes, arithmetic: Arithmetic, whole: bool, limit_bytes: int
) -> KernelCall | None:
    transposed = whole and site.output().type.shape[0] == 1 and sizes["input_width"] == sizes["output_width"] == 1
    kernel = layer.weights.reshape(-1, sizes["kernel_height"], sizes["kernel_width"])
    if transposed:
        kernel, sizes = kernel.swapaxes(1, 2), _swapped(sizes)
    reach = [(sizes[f"kernel_{side}"] - 1) * sizes[f"dilation_{side}"] + 1 for side in ("height", "width")]
    column_bytes = 1 if reach[0] == 1 else -(-reach[0] // 4) * 4
    steps, advance = -(-reach[1] * column_bytes // LANES), sizes["stride_width"] * column_bytes
    if steps > MAX_STEPS or advance > MAX_ADVANCE:
        return None
    planes = Planes(
        column_bytes,
        columns=(sizes["output_width"] - 1) * sizes["stride_width"] + reach[1],
        rows_at_once=min((column_bytes - reach[0]) // sizes["stride_height"] + 1, sizes["output_height"]),
        slack_bytes=4 * advance + LANES * steps,
    )
    channels = _channels_at_once(planes, len(kernel), limit_bytes)
    form = PlanesForm(steps, advance, sizes["stride_height"], planes.rows_at_once > 1, transposed, arithmetic)
    kept = (
        *("input_height", "input_width", "kernel_height", "stride_height", "pad_top", "pad_left"),
        *("output_height", "output_width"),
    )
    points = ("input_zero_point", "output_zero_point", "output_min", "output_max")
    params = (
        *((name, sizes[name]) for name in kept),
        ("channels", len(kernel)),
        *((name, sizes[name]) for name in points),
        ("column_bytes", column_bytes),
        ("columns", planes.columns),
        ("plane_bytes", planes.plane_bytes),
        ("rows_at_once", planes.rows_at_once),
        ("channels_at_once", channels),
        ("channel_bytes", LANES * steps + 12),
        ("transposed", int(transposed)),
    )
    dilation = sizes["dilation_height"], sizes["dilation_width"]
    table = Table("packed", _packed(layer, kernel, dilation, column_bytes, steps))
    scratch = Scratch(planes.scratch_bytes(channels))
    arguments = row_arguments(table, scratch)
    return KernelCall(
        f"depthwise_conv_2d_mve_{form.name}", params, arguments, _source(form), overlaps=channels == len(kernel)
    )


def _swapped(sizes: Sizes) -> Sizes:
    """The sizes with height and width exchanged."""
    other = {"height": "width", "width": "height"}
    swapped = dict(sizes)
    for name in ("input", "kernel", "stride", "dilation", "output"):
        for side in other:
            swapped[f"{name}_{side}"] = sizes[f"{name}_{other[side]}"]
    return swapped | {"pad_top": sizes["pad_left"], "pad_left": sizes["pad_top"]}


def _channels_at_once(planes: Planes, channels: int, limit_bytes: int) -> int:
    """All channels, or as many blocks of 16 as fit."""
    most = min(PLANES_BYTES, limit_bytes)
    if planes.scratch_bytes(channels) <= most:
        return channels
    fitting = (n for n in range(channels // LANES * LANES, LANES, -LANES) if planes.scratch_bytes(n) <= most)
    return min(next(fitting, LANES), channels)


def _packed(layer: PlainLayer, kernel: Array, dilation: tuple[int, int], column_bytes: int, steps: int) -> Array:
    """(channels, words) int32: weights (columns, column_bytes) int8, filled up; bias, multiplier, shift.

    `kernel` (channels, height, width); taps of dilated kernels lie apart, with zeros between.
    """
    channels, height, width = kernel.shape
    weights = np.zeros((channels, width * dilation[1], column_bytes), np.int8)
    weights[:, :: dilation[1], : height * dilation[0] : dilation[0]] = kernel.swapaxes(1, 2)
    window = np.zeros((channels, LANES * steps), np.int8)
    used = min(weights.shape[1] * column_bytes, LANES * steps)
    window[:, :used] = weights.reshape(channels, -1)[:, :used]
    constants = int32_words(np.stack(requantization(layer), axis=1))
    return np.concatenate([window.view("<i4"), constants], axis=1)


def _source(form: PlanesForm) -> GeneratedKernel:
    name = f"thimble_depthwise_conv_2d_mve_{form.name}"
    files = (
        (f"{name}.c", render("depthwise_conv_2d_mve.c.j2", form=form)),
        (f"{name}.h", render("depthwise_conv_2d_mve.h.j2", form=form)),
    )
    return GeneratedKernel(files, needs=("planes_mve",))
