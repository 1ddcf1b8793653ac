"""CONV_2D on Armv8.1-M with MVE: two windows by four channels at a time, straight from the input where that pays."""

from __future__ import annotations

from dataclasses import dataclass

from thimble.codegen.armv81m.arithmetic import Arithmetic, arithmetic_of
from thimble.codegen.armv81m.blocks import BLOCK_CHANNELS, LANES, packed_blocks
from thimble.codegen.armv81m.rendering import render
from thimble.codegen.armv81m.row_convolution import PIXELS_AT_ONCE, row_call, row_form
from thimble.codegen.kernel_tools.arguments import row_arguments
from thimble.codegen.kernel_tools.plain_layer import PlainLayer, plain_layer
from thimble.codegen.kernel_tools.sizes import Sizes, keeps_pixels, sizes_of, window_kernel_params
from thimble.codegen.variants import DEFAULT, Variant, first_made
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import (
    GeneratedKernel,
    KernelCall,
    Scratch,
    Table,
)

ROWS, WINDOWS = "rows", "windows"
"""Forms: rows copied with their borders (row_convolution.py), or windows."""

MAX_STRAIGHT_STEPS = 12
"""Most steps without a loop: 56 bytes of code each."""

UNROLL = 4
"""Steps in one turn of the loop over a long segment."""

MAX_SEGMENTS = 24
"""THIMBLE_MAX_SEGMENTS in the runtime."""

MAX_WINDOW_ROWS = 64
"""THIMBLE_MAX_WINDOW_ROWS in the runtime."""

MAX_WINDOW_BYTES = 1 << 15
"""Largest window taken: two of them are copied to scratch at the borders."""

MIN_POINTWISE_PIXELS = 101
"""Pointwise layers of fewer stay with windows: copied rows take 9 bytes of flash more for each channel."""

MAX_REACH = 1 << 20
"""Most input rows or columns from the first tap to the last."""

STEP_INSTRUCTIONS, COPY_INSTRUCTIONS, WINDOW_INSTRUCTIONS, BLOCK_INSTRUCTIONS = 7, 20, 50, 36
"""About, for one window: of a step, of copying a row, of finding the window; and of the rest of a block of a pair."""


@dataclass(frozen=True, slots=True)
class WindowForm:
    """What one function is generated for: windows of `segments` of `steps` times 16 bytes.

    One segment may be longer than `steps` by turns of a loop of UNROLL steps (`loops`), as many as the call says: so
    that layers of different depths share a function. `one_row`: calls are for all pixels of whole tensors, as one row.
    """

    segments: int
    steps: int
    loops: bool
    arithmetic: Arithmetic
    one_row: bool

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        return f"{self.segments}x{self.steps}{'n' * self.loops}{'f' * self.one_row}_{self.arithmetic.name}"

    @property
    def is_straight(self) -> bool:
        """Whether all segments are made without a loop."""
        return self.segments * self.steps <= MAX_STRAIGHT_STEPS

    @property
    def unroll(self) -> int:
        """Steps in a turn of the loop over one long segment."""
        return UNROLL


@dataclass(frozen=True, slots=True)
class Windows:
    """How windows are read: `row_parts` segments of `steps` a row of the kernel, or 0 where each is copied.

    Those of output columns [inside_begin, inside_end) are never copied.
    """

    steps: int
    row_parts: int
    inside_begin: int = 0
    inside_end: int = 0


def specialise_conv_2d(
    site: Site, call: KernelCall, whole: bool, limit_bytes: int, variant: Variant = DEFAULT
) -> KernelCall | None:
    """The vector kernel in place of thimble_conv_2d_s8; None where the preconditions do not hold."""
    layer = plain_layer(site, call, channel_axis=0)
    sizes = sizes_of(call)
    if layer is None or sizes["group_channels"] != sizes["input_channels"]:
        return None
    return windows_call(site, layer, sizes, whole, limit_bytes, variant)


def conv_2d_variants(sizes: Sizes, whole: bool) -> tuple[Variant, ...]:
    """Ways to make a convolution that may be faster than the default one."""
    pixels = (16, 24, 48, 64) if whole and keeps_pixels(sizes) else ()
    return (Variant(ROWS), *(Variant(ROWS, count) for count in pixels), Variant(WINDOWS))


def windows_call(
    site: Site, layer: PlainLayer, sizes: Sizes, whole: bool, limit_bytes: int, variant: Variant = DEFAULT
) -> KernelCall | None:
    """The call for weights (channels, kernel_height * kernel_width * input_channels)."""
    arithmetic = arithmetic_of(layer)
    reach = max((sizes[f"kernel_{side}"] - 1) * sizes[f"dilation_{side}"] for side in ("height", "width"))
    too_large = layer.weights.shape[1] > MAX_WINDOW_BYTES or sizes["kernel_height"] > MAX_WINDOW_ROWS
    if arithmetic is None or too_large or reach > MAX_REACH:
        return None
    pixels = site.output().type.elements // len(layer.weights)
    one_row = whole and keeps_pixels(sizes)
    if one_row:
        sizes = _as_one_row(sizes, pixels)
    few = sizes["kernel_height"] == sizes["kernel_width"] == 1 and pixels < MIN_POINTWISE_PIXELS

    def by_rows() -> KernelCall | None:
        form = None if few and variant.form != ROWS else row_form(layer, sizes, arithmetic, one_row)
        if form is None or (form.instructions > _instructions(sizes, len(layer.weights)) and variant.form != ROWS):
            return None
        return row_call(layer, sizes, form, limit_bytes, variant.at_once or PIXELS_AT_ONCE)

    makers = {ROWS: by_rows, WINDOWS: lambda: _windows_call(layer, sizes, arithmetic, one_row)}
    return first_made(makers, variant)


def _windows_call(layer: PlainLayer, sizes: Sizes, arithmetic: Arithmetic, one_row: bool) -> KernelCall:
    windows = _windows(sizes, len(layer.weights))
    segments = sizes["kernel_height"] * windows.row_parts or 1
    turns = (windows.steps - 1) // UNROLL if segments == 1 else 0
    form = WindowForm(segments, windows.steps - UNROLL * turns, turns > 0, arithmetic, one_row)
    params = (
        *window_kernel_params(sizes, ("group_channels",)),
        ("segment_bytes", LANES * windows.steps),
        ("turns", turns),
        ("row_parts", windows.row_parts),
        ("inside_begin", windows.inside_begin),
        ("inside_end", windows.inside_end),
    )
    blocks = -(-len(layer.weights) // BLOCK_CHANNELS)
    border_bytes = LANES * windows.steps * windows.row_parts
    scratch = Scratch(2 * BLOCK_CHANNELS * blocks + border_bytes + 2 * LANES * windows.steps * segments, "int8_t")
    rows = sizes["kernel_height"] if windows.row_parts else 1
    table = Table("packed", packed_blocks(layer, rows, LANES * windows.steps * max(windows.row_parts, 1)))
    arguments = row_arguments(table, scratch)
    return KernelCall(f"conv_2d_mve_{form.name}", params, arguments, _source(form))


def _as_one_row(sizes: Sizes, pixels: int) -> Sizes:
    """All pixels of all images as one row: rows of odd width have no pixel without a partner then."""
    row = {"input_height": 1, "input_width": pixels, "output_height": 1, "output_width": pixels}
    return sizes | row


def _instructions(sizes: Sizes, channels: int) -> float:
    """For eight outputs of pairs of windows, about."""
    windows, height, blocks = _windows(sizes, channels), sizes["kernel_height"], -(-channels // BLOCK_CHANNELS)
    steps = windows.steps * max(height * windows.row_parts, 1)
    copied = 1 - (windows.inside_end - windows.inside_begin) / sizes["output_width"]
    window_cost = WINDOW_INSTRUCTIONS + copied * height * COPY_INSTRUCTIONS
    return 2 * STEP_INSTRUCTIONS * steps + BLOCK_INSTRUCTIONS + 2 * window_cost / blocks


def _windows(sizes: Sizes, channels: int) -> Windows:
    """Rows of windows where they lie, or whole windows copied: whichever takes fewer instructions."""
    row_bytes = sizes["kernel_width"] * sizes["input_channels"]
    copied_steps = -(-sizes["kernel_height"] * row_bytes // LANES)
    placed = _placed(sizes, row_bytes)
    blocks = -(-channels // BLOCK_CHANNELS)
    copied_cost = STEP_INSTRUCTIONS * copied_steps * blocks + sizes["kernel_height"] * COPY_INSTRUCTIONS
    if placed is not None:
        steps = sizes["kernel_height"] * placed.row_parts * placed.steps
        inside = (placed.inside_end - placed.inside_begin) / sizes["output_width"]
        copies = (1 - inside) * sizes["kernel_height"] * COPY_INSTRUCTIONS
        if STEP_INSTRUCTIONS * steps * blocks + copies <= copied_cost:
            return placed
    return Windows(copied_steps, row_parts=0)


def _placed(sizes: Sizes, row_bytes: int) -> Windows | None:
    """Windows as they lie in the input; None where none does, or where a row is cut into no equal segments."""
    row_steps = -(-row_bytes // LANES)
    height = sizes["kernel_height"]
    parts = 1
    if height > 1:
        parts = next((n for n in range(-(-row_steps // MAX_STRAIGHT_STEPS), row_steps + 1) if row_steps % n == 0), 1)
    if height * parts > MAX_SEGMENTS or sizes["dilation_width"] != 1:
        return None
    stride, pad, channels = sizes["stride_width"], sizes["pad_left"], sizes["input_channels"]
    begin = -(-pad // stride)
    last_left = (sizes["input_width"] * channels - LANES * row_steps) // channels
    end = min((last_left + pad) // stride + 1, sizes["output_width"]) if last_left >= 0 else 0
    return Windows(row_steps // parts, parts, begin, end) if begin < end else None


def _source(form: WindowForm) -> GeneratedKernel:
    name = f"thimble_conv_2d_mve_{form.name}"
    files = (
        (f"{name}.c", render("conv_2d_mve.c.j2", form=form)),
        (f"{name}.h", render("conv_2d_mve.h.j2", form=form)),
    )
    return GeneratedKernel(files, needs=("windows_mve",))
