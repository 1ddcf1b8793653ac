"""CONV_2D on Armv8.1-M with MVE from rows that are copied with their borders: four pixels by two channels at a time.

Neighbouring windows lie a fixed number of bytes apart in a copy, so that one pointer serves four of them, and where
channels fill whole vectors, most of what a tap needs was loaded for the tap before: a step of 128 products takes 8
multiplications, 2 loads of weights and as little as one of the input.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.codegen.armv81m.arithmetic import Arithmetic, requantization_lines
from thimble.codegen.armv81m.blocks import LANES, requantization
from thimble.codegen.armv81m.rendering import render
from thimble.codegen.kernel_tools.arguments import row_arguments
from thimble.codegen.kernel_tools.plain_layer import PlainLayer
from thimble.codegen.kernel_tools.sizes import Sizes
from thimble.codegen.kernel_tools.words import int32_words
from thimble.compiler.ir.operator import (
    Array,
    GeneratedKernel,
    KernelCall,
    Scratch,
    Table,
)

PIXELS = 4
"""Windows at a time, and the fewest pixels of a row."""

MAX_STRAIGHT_STEPS = 12
"""Most steps without a loop over the rows of the kernel."""

MAX_ROW_STEPS = 12
"""Most steps of a row of the kernel: about 50 bytes of code each."""

MAX_KERNEL_HEIGHT = 16
"""THIMBLE_MAX_PADDED_ROWS in the runtime."""

MAX_ROWS_BYTES = 8192
"""Most scratch for copies of rows."""

PIXELS_AT_ONCE = 32
"""Pixels of a pointwise layer that are copied at once: more bring little."""

BYTE_REACH, WORD_REACH = 127, 508
"""Largest offsets of loads of bytes, and of words at whole words."""

TAIL_INSTRUCTIONS = 30
"""For eight outputs, besides the sums."""

_SUMS = ("r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr")


@dataclass(frozen=True, slots=True)
class RowForm:
    """What one function is generated for.

    `steps` are the offsets of the vectors of a row of a window, in the order in which they are multiplied;
    `column_bytes` is the distance of neighbouring windows. `flat`: calls are for all pixels of whole tensors.
    """

    kernel_height: int
    steps: tuple[int, ...]
    column_bytes: int
    arithmetic: Arithmetic
    flat: bool

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        order = "" if self.steps == tuple(sorted(self.steps)) else "o"
        last = max(self.steps)
        sizes = f"{self.kernel_height}x{len(self.steps)}{order}e{last}c{self.column_bytes}"
        return f"{sizes}{'f' * self.flat}_{self.arithmetic.name}"

    @property
    def is_straight(self) -> bool:
        """Whether there is no loop over the rows of the kernel."""
        return self.kernel_height * len(self.steps) <= MAX_STRAIGHT_STEPS

    @property
    def sums(self) -> tuple[str, ...]:
        """The registers of the sums: pixel by pixel, both channels."""
        return _SUMS

    @property
    def block_bytes(self) -> int:
        """Bytes of the weights and constants of two channels."""
        return 2 * LANES * self.kernel_height * len(self.steps) + 36

    @property
    def tail_lines(self) -> list[str]:
        """The instructions that turn sums into outputs."""
        return [line.replace("%[limits]", "%[x]") for line in requantization_lines(self.arithmetic)]

    @property
    def reach(self) -> int:
        """The largest offset of a load."""
        return max(self.steps) + (PIXELS - 1) * self.column_bytes

    @property
    def loads_words(self) -> bool:
        """Whether all vectors begin at whole words."""
        return all(offset % 4 == 0 for offset in (*self.steps, self.column_bytes))

    @property
    def fits(self) -> bool:
        """Whether all loads can be encoded, and code stays small."""
        largest = WORD_REACH if self.loads_words else BYTE_REACH
        return self.reach <= largest and len(self.steps) <= MAX_ROW_STEPS

    @property
    def instructions(self) -> int:
        """For eight outputs, about."""
        return self.kernel_height * (len(self.row_lines(False)) + 2) + TAIL_INSTRUCTIONS

    def row_lines(self, sets_sums: bool) -> list[str]:
        """The instructions for one row of the kernel; `sets_sums`: its first step sets the sums."""
        lines: list[str] = []
        held: list[int | None] = [None] * PIXELS  # offsets of what q0 to q3 hold
        load = "vldrw.32" if self.loads_words else "vldrb.8"
        for number, step in enumerate(self.steps):
            needed = [step + pixel * self.column_bytes for pixel in range(PIXELS)]
            operation = "vmladav" if sets_sums and number == 0 else "vmladava"
            lines += [f"vldrb.8 q{4 + channel}, [%[weights]], #16" for channel in range(2)]
            for pixel, offset in enumerate(needed):
                if offset not in held:
                    register = next(i for i, other in enumerate(held) if other not in needed)
                    held[register] = offset
                    lines.append(f"{load} q{register}, [%[x], #{offset}]")
                register = held.index(offset)
                for channel in range(2):
                    lines.append(f"{operation}.s8 {_SUMS[2 * pixel + channel]}, q{register}, q{4 + channel}")
        return lines


def row_form(layer: PlainLayer, sizes: Sizes, arithmetic: Arithmetic, flat: bool) -> RowForm | None:
    """The form for weights (channels, kernel_height * kernel_width * input_channels); None where it does not suit.

    `flat`: a pointwise layer of whole tensors, as one row of all pixels.
    """
    height, width, depth = (sizes[name] for name in ("kernel_height", "kernel_width", "input_channels"))
    dilated = (sizes["dilation_height"], sizes["dilation_width"]) != (1, 1)
    too_small = sizes["output_width"] < PIXELS or len(layer.weights) < 2
    if dilated or too_small or height > MAX_KERNEL_HEIGHT:
        return None
    steps = _steps(width, sizes["stride_width"], depth)
    form = RowForm(height, steps, sizes["stride_width"] * depth, arithmetic, flat)
    return form if form.fits else None


def row_call(
    layer: PlainLayer, sizes: Sizes, form: RowForm, limit_bytes: int, pixels_at_once: int = PIXELS_AT_ONCE
) -> KernelCall | None:
    """The call of a form; None where copies of rows take too much scratch. `pixels_at_once`: of a flat one."""
    height, width, depth = (sizes[name] for name in ("kernel_height", "kernel_width", "input_channels"))
    pixels = max((sizes["output_width"] - 1) * sizes["stride_width"] + width, sizes["pad_left"] + sizes["input_width"])
    if form.flat:
        pixels = _portion(sizes["output_width"], pixels_at_once)
    row_bytes = -(-pixels * depth // 4) * 4
    scratch_bytes = height * row_bytes + LANES
    if scratch_bytes > min(MAX_ROWS_BYTES, limit_bytes):
        return None
    packed = _packed(layer, height, form.steps)
    kept = (
        *("input_height", "input_width", "input_channels", "kernel_height", "stride_height", "pad_top", "pad_left"),
        *("output_height", "output_width", "output_channels", "input_zero_point", "output_zero_point"),
        *("output_min", "output_max"),
    )
    params = (
        *((name, sizes[name]) for name in kept),
        ("row_bytes", row_bytes),
        ("portion", pixels if form.flat else sizes["output_width"]),
    )
    arguments = row_arguments(Table("packed", packed), Scratch(scratch_bytes))
    return KernelCall(f"conv_2d_rows_mve_{form.name}", params, arguments, _source(form))


def _portion(pixels: int, wanted: int) -> int:
    """Pixels that are copied at once, so that the last portion has no less than four, and whole fours if possible."""
    most = min(wanted, pixels)
    whole = [n for n in range(most, PIXELS - 1, -1) if pixels % n == 0 or pixels % n >= PIXELS]
    return next((n for n in whole if n % PIXELS == 0), whole[0] if whole else pixels)


def _steps(width: int, stride: int, depth: int) -> tuple[int, ...]:
    """Offsets of the vectors of a row of a window.

    Where pixels are whole vectors, taps follow each other by the stride: three of four of their vectors are the same.
    """
    if depth % LANES:
        return tuple(range(0, width * depth, LANES))
    taps = [tap for first in range(stride) for tap in range(first, width, stride)]
    return tuple(tap * depth + part for part in range(0, depth, LANES) for tap in taps)


def _packed(layer: PlainLayer, height: int, steps: tuple[int, ...]) -> Array:
    """(blocks, words) int32: weights (steps, 2, 16) int8 of two channels; biases and multipliers (2, 2, 2); shifts.

    The last pair of an odd number of channels holds the last channel but one again.
    """
    channels = len(layer.weights)
    order = np.minimum(np.arange(0, channels, 2)[:, None] + [0, 1], [channels - 2, channels - 1])
    rows = layer.weights.reshape(channels, height, -1)
    rows = np.pad(rows, ((0, 0), (0, 0), (0, LANES)))
    vectors = np.stack([rows[:, :, step : step + LANES] for step in steps], axis=2)  # (channels, height, steps, 16)
    weights = vectors.reshape(channels, -1, LANES)[order].swapaxes(1, 2)
    start, multipliers, shifts = (np.tile(column[order], 2) for column in requantization(layer))
    parts = (
        np.ascontiguousarray(weights.reshape(len(order), -1), np.int8).view("<i4"),
        int32_words(start),
        int32_words(multipliers),
        np.ascontiguousarray(shifts, np.int8).view("<i4"),
    )
    return np.concatenate(parts, axis=1)


def _source(form: RowForm) -> GeneratedKernel:
    name = f"thimble_conv_2d_rows_mve_{form.name}"
    files = (
        (f"{name}.c", render("conv_2d_rows_mve.c.j2", form=form)),
        (f"{name}.h", render("conv_2d_rows_mve.h.j2", form=form)),
    )
    return GeneratedKernel(files, needs=("padded_rows_mve",))
