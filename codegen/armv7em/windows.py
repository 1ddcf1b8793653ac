"""How windows of images with few channels become words of four bytes, the channels of the pixels of a matrix product.

The rows of a window are runs of bytes: whole words of them first, then what is left over of all rows, so that a window
of 3x3 over 3 channels is 7 words, where rows of whole words would make it 9.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.codegen.kernel_tools.sizes import Sizes
from thimble.compiler.ir.operator import Array

WORD = 4

BATCH = 4
"""Words that are loaded before any is stored."""

FEW_CHANNELS = 3
"""Pixels of so few channels fill words badly, so that windows are made of whole words rather than pixels."""

MAX_WORDS = 64
"""Code for a window of more words would fill the instruction cache."""


@dataclass(frozen=True, slots=True)
class Window:
    """Rows of a window in an image whose rows lie `pitch` bytes apart, borders included; `held_rows` are in memory.

    `row_bytes` of a row of the window lie side by side, and `column_bytes` from one window to the next; `step` image
    rows from one row of the window to the next.
    """

    rows: int
    row_bytes: int
    step: int
    column_bytes: int
    pitch: int

    @classmethod
    def of(cls, sizes: Sizes) -> Window:
        """The window of a convolution without dilation to the side."""
        channels, stride = sizes["input_channels"], sizes["stride_width"]
        padded_width = (sizes["output_width"] - 1) * stride + sizes["kernel_width"]
        return cls(
            rows=sizes["kernel_height"],
            row_bytes=sizes["kernel_width"] * channels,
            step=sizes["dilation_height"],
            column_bytes=stride * channels,
            pitch=-(-padded_width * channels // WORD) * WORD,
        )

    @property
    def name(self) -> str:
        """A short name, a part of C names."""
        return f"{self.rows}x{self.row_bytes}s{self.column_bytes}p{self.pitch * self.step}"

    @property
    def held_rows(self) -> int:
        """Image rows under a row of windows."""
        return (self.rows - 1) * self.step + 1

    @property
    def taps(self) -> tuple[tuple[int, ...], ...]:
        """The taps of each word, in the order of the weights; the last word may have fewer than four."""
        whole = self.row_bytes // WORD * WORD
        words = [(row, at) for row in range(self.rows) for at in range(0, whole, WORD)]
        rest = [row * self.row_bytes + at for row in range(self.rows) for at in range(whole, self.row_bytes)]
        full = [tuple(row * self.row_bytes + at + i for i in range(WORD)) for row, at in words]
        return (*full, *(tuple(rest[i : i + WORD]) for i in range(0, len(rest), WORD)))

    @property
    def words(self) -> int:
        """Words of a window."""
        return self.rows * (self.row_bytes // WORD) + -(-self.rows * (self.row_bytes % WORD) // WORD)

    @property
    def batches(self) -> tuple[tuple[tuple[int, str], ...], ...]:
        """(word, C expression of its bytes at `from`) by batches of loads."""
        loads = [(i, self._load(taps)) for i, taps in enumerate(self.taps)]
        return tuple(tuple(loads[at : at + BATCH]) for at in range(0, len(loads), BATCH))

    def _load(self, taps: tuple[int, ...]) -> str:
        if len(taps) == WORD and taps[-1] // self.row_bytes == taps[0] // self.row_bytes:
            return f"thimble_load_4(from + {self._place(taps[0])})"
        shifts = ("", " << 8", " << 16", " << 24")
        loads = (f"(uint32_t)(uint8_t)from[{self._place(tap)}]" for tap in taps)
        return " | ".join(load + shift for load, shift in zip(loads, shifts, strict=False))

    def _place(self, tap: int) -> int:
        row, at = divmod(tap, self.row_bytes)
        return row * self.step * self.pitch + at


def window_weights(window: Window, weights: Array) -> Array:
    """(channels, words * 4) int64: weights (channels, taps) in the order of the words, zeros behind the last tap."""
    packed = np.zeros((len(weights), window.words * WORD), np.int64)
    for i, taps in enumerate(window.taps):
        packed[:, i * WORD : i * WORD + len(taps)] = weights[:, list(taps)]
    return packed
