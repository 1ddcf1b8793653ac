"""DEPTHWISE_CONV_2D on Armv7E-M: which layers go along planes, their packed weights and their kernel call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.depthwise import MAX_OFFSET, DepthwiseForm, depthwise_listing
from thimble.codegen.armv7em.depthwise_pixels import pixels_call
from thimble.codegen.armv7em.rendering import render
from thimble.codegen.armv7em.requantize import Requantization, plain_requantization
from thimble.codegen.kernel_tools.plain_layer import PlainLayer, plain_layer
from thimble.codegen.kernel_tools.words import int32_words
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import (
    Array,
    EndRow,
    FirstRow,
    GeneratedKernel,
    InputRows,
    KernelCall,
    OutputRows,
    Scratch,
    Table,
)

PLANE_BYTES = 8192
"""Most scratch for planes, unless the rows of one output row alone need more."""

MAX_PLANE_BYTES = 1 << 16
"""Layers whose planes would need more than this stay with the plain kernel."""

OUTPUTS_AT_ONCE = 144
"""Outputs of a channel that are worth reading its weights from flash once; more rows at once bring little."""

BLOCK_CHANNELS = 4
"""Blocks of channels are multiples of this, so that planes are filled by words of four bytes."""

BLOCK_ROWS = 2
"""Most output rows from one filling by blocks, in schedules by rows, whose calls are for few rows."""

MAX_ROWS = 16
MAX_CHANNELS = 1023
MAX_KERNEL_WIDTH = 7
"""Taps of a kernel row whose weights fit the registers."""

CUT_WIDTH = 6
"""Taps of the rows into which a longer one is cut: even, so that all begin at a whole word."""

MAX_ROW_KERNEL = 96

PIXELS_TAPS = 9
"""Larger kernels take less time by planes, which read each input once for several taps."""

PIXELS_WIDTH: Mapping[tuple[bool, bool], int] = {
    (True, False): 0,
    (True, True): 12,
    (False, False): 8,
    (False, True): 24,
}
"""By whether all rows are made at once and whether the stride is above 1: the widest rows, in outputs, that were
measured to take less time straight from pixels than by planes."""

Sizes = dict[str, int]


def specialise_depthwise(site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int) -> KernelCall | None:
    """A kernel in place of thimble_depthwise_conv_2d_s8; None where the preconditions do not hold.

    Planes, or straight from pixels where rows are narrow or planes need too much scratch.
    """
    layer = plain_layer(site, call, channel_axis=3)
    sizes = {name: value for name, value in call.params if isinstance(value, int)}
    dense = sizes["multiplier"] == 1 and sizes["dilation_height"] == sizes["dilation_width"] == 1
    found = _scales(layer) if layer is not None and dense else None
    if layer is None or found is None:
        return None
    planes = _by_planes(site, layer, sizes, *found, core, whole, limit_bytes)
    pixels = partial(pixels_call, layer, sizes, *found, core.has_fpu, limit_bytes)
    if whole and (planes is None or not planes.overlaps):
        # Layers off their inputs take more of the arena than any scratch that a limit is worth setting for.
        return pixels(in_place=True) or planes or pixels(in_place=False)
    large = sizes["kernel_height"] * sizes["kernel_width"] > PIXELS_TAPS
    if planes is not None and (large or sizes["output_width"] > PIXELS_WIDTH[whole, sizes["stride_width"] > 1]):
        return planes
    return pixels(in_place=False) or planes


def _by_planes(
    site: Site,
    layer: PlainLayer,
    sizes: Sizes,
    constants: Requantization,
    equal_shifts: bool,
    core: Core,
    whole: bool,
    limit_bytes: int,
) -> KernelCall | None:
    """Whole images one pixel wide, such as steps in time, are taken as one long row."""
    one_row = whole and _is_column(sizes) and site.output().type.shape[0] == 1
    sizes = _as_row(sizes) if one_row else sizes
    if not _is_taken(sizes):
        return None
    kernel = _packed_kernel(sizes, one_row)
    row_words = _row_words(sizes, kernel)
    form = DepthwiseForm(
        kernel_height=kernel[0],
        kernel_width=kernel[1],
        stride=sizes["stride_width"],
        output_width=sizes["output_width"],
        channels=sizes["output_channels"],
        row_bytes=4 * row_words if kernel[0] == sizes["kernel_height"] else 2 * kernel[1],
        total_shift=int(constants.shifts[0]) if equal_shifts else None,
        scale_bits=constants.uniform_bits,
        rounds_ties=layer.rounds_ties,
        clamps=layer.limits_inside,
        has_fpu=core.has_fpu,
        one_row=one_row,
    )
    planes = Planes(form.channels, form.stride, sizes["kernel_height"], 4 * row_words)
    most_rows = 1 if one_row else min(-(-OUTPUTS_AT_ONCE // form.output_width), site.output().type.rows, MAX_ROWS)
    planes, rows = _portion(planes, most_rows, whole, limit_bytes)
    if form.kernel_height * form.row_bytes > MAX_OFFSET or planes.bytes(rows) > min(MAX_PLANE_BYTES, limit_bytes):
        return None
    packed = _packed(layer, form, constants, equal_shifts)
    kept = ("input_height", "input_width", "kernel_height", "kernel_width")
    params = (
        *((name, sizes[name]) for name in kept),
        ("stride", form.stride),
        *((name, sizes[name]) for name in ("pad_top", "pad_left", "output_height", "output_width")),
        ("channels", form.channels),
        *((name, sizes[name]) for name in ("input_zero_point", "output_min", "output_max")),
        ("row_words", row_words),
        ("packed_height", form.kernel_height),
        ("packed_width", form.kernel_width),
        ("packed_pitch", form.row_bytes // 4),
        ("rows_at_once", rows),
        ("channels_at_once", planes.channels),
        ("channel_words", packed.shape[1]),
        ("total_shift", -1 if form.total_shift is None else form.total_shift),
        ("scale_bits", form.scale_bits),
        ("rounds_ties", int(form.rounds_ties)),
    )
    table, scratch = Table("packed", packed), Scratch(planes.bytes(rows), "uint32_t")
    arguments = (InputRows(0), table, scratch, OutputRows(0), FirstRow(), EndRow())
    in_place = planes.channels == form.channels
    return KernelCall(f"depthwise_conv_2d_dsp_{form.name}", params, arguments, depthwise_source(form), in_place)


@dataclass(frozen=True, slots=True)
class Planes:
    """What planes are made of: `channels` at a time; `row_bytes` of one row of one channel."""

    channels: int
    stride: int
    kernel_height: int
    row_bytes: int

    def bytes(self, rows: int) -> int:
        """Scratch for the planes from which `rows` output rows are made."""
        return self.channels * ((rows - 1) * self.stride + self.kernel_height) * self.row_bytes


def depthwise_source(form: DepthwiseForm) -> GeneratedKernel:
    """The files of kernel depthwise_conv_2d_dsp_<form>: the assembly, and the kernel that uses it or its twin."""
    name = f"thimble_depthwise_conv_2d_dsp_{form.name}"
    files = (
        (f"{name}.c", render("depthwise_conv_2d_dsp.c.j2", form=form, assembly=depthwise_listing(form).text)),
        (f"{name}.h", render("depthwise_conv_2d_dsp.h.j2", form=form)),
    )
    return GeneratedKernel(files, needs=("planes_dsp",))


def _is_column(sizes: Sizes) -> bool:
    return sizes["input_width"] == sizes["output_width"] == sizes["kernel_width"] == 1 and sizes["pad_left"] == 0


def _as_row(sizes: Sizes) -> Sizes:
    """The sizes of an image one pixel wide with height and width exchanged."""
    swapped = dict(sizes)
    for name in ("input", "kernel", "stride", "dilation", "output"):
        swapped[f"{name}_width"] = sizes[f"{name}_height"]
        swapped[f"{name}_height"] = 1
    return swapped | {"pad_top": 0, "pad_left": sizes["pad_top"], "stride_height": sizes["stride_height"]}


def _packed_kernel(sizes: Sizes, one_row: bool) -> tuple[int, int]:
    """Height and width of the kernel as it is packed: a long row of an image of one row is cut."""
    if one_row and sizes["kernel_width"] > MAX_KERNEL_WIDTH:
        return -(-sizes["kernel_width"] // CUT_WIDTH), CUT_WIDTH
    return sizes["kernel_height"], sizes["kernel_width"]


def _is_taken(sizes: Sizes) -> bool:
    return (
        sizes["stride_height"] == sizes["stride_width"]
        and (sizes["kernel_width"] <= MAX_KERNEL_WIDTH or sizes["kernel_height"] == 1)
        and sizes["kernel_width"] <= MAX_ROW_KERNEL
        and sizes["output_channels"] <= MAX_CHANNELS
    )


def _scales(layer: PlainLayer) -> tuple[Requantization, bool] | None:
    """The constants, and whether all channels share the last shift; None where nothing can be proved."""
    plain = plain_requantization(layer)
    equal = None if layer.rounds_ties else plain.with_equal_shifts()
    constants = equal or plain.with_equal_bits()
    return None if constants is None else (constants, equal is not None)


def _row_words(sizes: Sizes, kernel: tuple[int, int]) -> int:
    """Words of a plane's row: all input columns behind the left border, and all taps of the last output."""
    taps = kernel[1] if kernel[0] == sizes["kernel_height"] else kernel[0] * kernel[1]
    reach = (sizes["output_width"] - 1) * sizes["stride_width"] + taps
    return -(-max(reach, sizes["pad_left"] + sizes["input_width"]) // 2)


def _portion(planes: Planes, most_rows: int, whole: bool, limit_bytes: int) -> tuple[Planes, int]:
    """The planes, of all channels or of a block of them, and the output rows that are made from one filling.

    More rows read a channel's weights from flash, and input rows, less often; blocks keep the output off the input.
    """
    most = min(PLANE_BYTES, limit_bytes)
    rows = next((n for n in range(most_rows, 1, -1) if planes.bytes(n) <= most), 1)
    if planes.bytes(rows) <= limit_bytes or planes.channels <= BLOCK_CHANNELS:
        return planes, rows
    block = replace(planes, channels=BLOCK_CHANNELS)
    wanted = most_rows if whole else min(most_rows, BLOCK_ROWS)
    rows = next((n for n in range(wanted, 1, -1) if block.bytes(n) <= limit_bytes), 1)
    blocks = max(limit_bytes // block.bytes(rows), 1)
    return replace(block, channels=min(BLOCK_CHANNELS * blocks, planes.channels)), rows


def _packed(layer: PlainLayer, form: DepthwiseForm, constants: Requantization, equal_shifts: bool) -> Array:
    """(channels, words) int32: words of two scaled weights, then bias, multiplier, addend and perhaps shift."""
    scale = np.int64(1) << constants.scale_bits
    taps = np.zeros((form.channels, form.kernel_height * form.kernel_width), np.int64)
    taps[:, : layer.weights.shape[1]] = layer.weights * scale[:, None]
    weights = taps.reshape(form.channels, form.kernel_height, form.kernel_width)
    if form.kernel_width == 1:
        weights = np.concatenate([weights, np.zeros_like(weights)], axis=2)
    pairs = (weights[:, :, :-1] & 0xFFFF) | (weights[:, :, 1:] & 0xFFFF) << 16
    tail = [layer.start * scale, constants.multipliers, constants.addends]
    tail += [] if equal_shifts else [constants.shifts]
    return int32_words(np.concatenate([pairs.reshape(form.channels, -1), np.stack(tail, axis=1)], axis=1))
