"""Bands of rows in which a convolution makes the planes of the depthwise one behind it, and what they cost.

A band makes some rows of the tensor between the two, below those that windows of the band before share with its own,
which move up; then all output rows whose windows are there. So no row is made twice. All channels have planes then. An
image that is one band may have planes of some channels at a time instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from thimble.codegen.kernel_tools.sizes import Sizes

COUNTS = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24)
"""Bands that an image is cut into."""

TURN_CYCLES = 1500
"""The matrix product and the depthwise function drive each other out of an instruction cache of 1 KB, each time."""

GATHER_CYCLES = 2700
"""The matrix product and what gathers windows do too."""

PAIR_CYCLES, CHANNEL_CYCLES = 120, 80
"""The beginning of two channels of the one, and of a channel of the other."""

MOVED_WORD_CYCLES, BORDER_ROW_CYCLES = 2.75, 20
"""A word of planes that moves up, and the borders of a row of four channels."""

CYCLES_A_BYTE = 1 / 8
"""What a byte of scratch must save at least; the planner has to choose from few kernels."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Along the height of a depthwise convolution: rows of its `input` and `output`, and its windows over them."""

    input: int
    kernel: int
    stride: int
    pad: int
    output: int

    @classmethod
    def of(cls, sizes: Sizes) -> Windows:
        """Those of a convolution without dilation."""
        names = ("input_height", "kernel_height", "stride_height", "pad_top", "output_height")
        return cls(*(sizes[name] for name in names))


@dataclass(frozen=True, slots=True)
class Bands:
    """`count` bands of up to `rows` rows between the two, which `plane_rows` of planes hold with borders and what is
    left of the band before, for up to `output_rows` output rows each. `moved_rows` are left of all bands together."""

    rows: int
    count: int
    plane_rows: int
    output_rows: int
    moved_rows: int

    @classmethod
    def of(cls, windows: Windows, rows: int) -> Bands | None:
        """Bands of so many rows; None where one would have no output, or windows of the next would begin below it."""
        held, made, outputs, count = windows.pad, 0, 0, 0
        moved, plane_rows, output_rows = 0, 0, 0
        while outputs < windows.output:
            new = min(rows, windows.input - made)
            held, made, count = held + new, made + new, count + 1
            rest = windows.output - outputs
            under_rest = (rest - 1) * windows.stride + windows.kernel
            is_last = made == windows.input or held >= under_rest
            band = rest if is_last else (held - windows.kernel) // windows.stride + 1
            plane_rows = max(plane_rows, held, under_rest if is_last else 0)
            if not is_last and (band < 1 or band * windows.stride > held):
                return None
            output_rows, outputs, held = max(output_rows, band), outputs + band, held - band * windows.stride
            moved += 0 if is_last else held
        return cls(rows, count, plane_rows, output_rows, moved)


@lru_cache(maxsize=256)
def bands_of(windows: Windows, group_rows: int) -> tuple[Bands, ...]:
    """The bands that are tried, the highest first; all but the last are whole groups of rows."""
    heights = (-(-windows.input // (count * group_rows)) * group_rows for count in COUNTS)
    tried = (Bands.of(windows, rows) for rows in dict.fromkeys(min(rows, windows.input) for rows in heights))
    return tuple(bands for bands in tried if bands is not None)


@dataclass(frozen=True, slots=True)
class Portions:
    """Bands, the rows whose pixels are in scratch at the same time, and the groups of four channels whose planes are,
    of all `groups`. `scratch_bytes` hold both."""

    bands: Bands
    rows_at_once: int
    quads: int
    groups: int
    scratch_bytes: int

    def price(self, channels: int, row_bytes: int, gathers: bool) -> float:
        """About the cycles that depend on the portions, and what scratch is worth; planes have rows of `row_bytes`.

        With `gathers`, pixels are windows that are gathered.
        """
        bands = self.bands
        products = bands.count * -(-self.groups // self.quads)
        if gathers:
            products = bands.count * -(-bands.rows // self.rows_at_once)
        moved_words = bands.moved_rows * self.groups * row_bytes / 4
        return (
            products * (GATHER_CYCLES if gathers else TURN_CYCLES)
            + (products if gathers else bands.count) * PAIR_CYCLES * channels / 2
            + bands.count * (CHANNEL_CYCLES * channels + TURN_CYCLES * gathers)
            + moved_words * MOVED_WORD_CYCLES
            + bands.plane_rows * self.quads * BORDER_ROW_CYCLES
            + self.scratch_bytes * CYCLES_A_BYTE
        )
