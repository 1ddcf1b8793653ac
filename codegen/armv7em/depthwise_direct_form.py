"""What a direct depthwise function is generated for, and which columns of a row its loop makes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from math import ceil

from thimble.codegen.armv7em.assembly import MAX_MOVE, MAX_OFFSET

KERNEL = 3
"""Height and width of the windows."""

MAX_ROWS = 12
"""THIMBLE_MAX_DIRECT_ROWS in the runtime."""

MAX_WIDTH = 1 << 16
"""Most outputs of a row: over more of them pointers would move on by more than MOVW can say."""

MAX_UNROLLED = 8
"""Most columns of a row, borders included, without a loop: more would leave small instruction caches."""

TURNS = (2, 4, 6, 8)
"""Columns of a turn of the loop that are tried: sums are in the same registers again, with stride 2 windows begin."""

TURN_CYCLES, COLUMN_CYCLES = 5, 5
"""The end of a turn, and what the code of a column is worth a row: more of it leaves small instruction caches."""

CHANNEL_CYCLES, ROW_CYCLES, OUTPUT_CYCLES = 45, 16, 17
"""What a channel, a row and an output take."""

MAX_CHANNEL_SHARE = 0.03
"""Of the cycles, for what comes once a channel: so many rows are made from weights that are read once."""


@dataclass(frozen=True, slots=True)
class Column:
    """Column `place` of the input, outside of which it is a border, and the windows that it lies in: output, tap."""

    place: int
    is_border: bool
    windows: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class DirectForm:
    """What one function is generated for, sizes in elements; `stride` and `pad` are those along a row.

    `shift` is the last shift of all channels, which then have no addend; 0 where each has its own.
    """

    stride: int
    pad: int
    input_width: int
    output_width: int
    channels: int
    shift: int
    rounds_ties: bool
    clamps: bool
    has_fpu: bool

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        sizes = f"s{self.stride}p{self.pad}_w{self.input_width}o{self.output_width}c{self.channels}"
        return f"{sizes}_{self.shift or 'v'}{'t' * self.rounds_ties}{'c' * self.clamps}"

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns under the windows of a row, from left to right."""
        return _columns(self.stride, self.pad, self.input_width, self.output_width)

    @property
    def turn(self) -> int:
        """Columns of a turn of the loop, 0 where all columns are code: the fewest cycles, code counted."""
        if len(self.columns) <= MAX_UNROLLED:
            return 0
        return min(
            TURNS, key=lambda turn: self._looped // turn * (TURN_CYCLES - turn * COLUMN_CYCLES) + turn * COLUMN_CYCLES
        )

    @property
    def rows_at_once(self) -> int:
        """Output rows that are made from weights that are read once."""
        row_cycles = ROW_CYCLES + OUTPUT_CYCLES * self.output_width
        return min(ceil(CHANNEL_CYCLES / MAX_CHANNEL_SHARE / row_cycles), MAX_ROWS)

    @property
    def turns(self) -> int:
        """Turns of the loop over columns."""
        return self._looped // self.turn if self.turn else 0

    @property
    def _looped(self) -> int:
        """Columns from the loop's first on that lie in as many windows as those of a loop must."""
        return _looped_columns(self.stride, self.pad, self.input_width, self.output_width)[1]

    @property
    def looped_from(self) -> int:
        """The first column of the loop: it lies in as many windows as any, and begins one of them."""
        return _looped_columns(self.stride, self.pad, self.input_width, self.output_width)[0]

    @property
    def fits(self) -> bool:
        """Whether borders are of one column and all offsets can be encoded."""
        reach = (self.output_width - 1) * self.stride - self.pad + KERNEL
        if self.pad > 1 or reach > self.input_width + 1 or self.output_width > MAX_WIDTH:
            return False
        moves = self.turns * self.turn * self.channels
        largest = self.channels * max(self.input_width, self.output_width)
        return self.channels <= MAX_MOVE and moves < 1 << 16 if self.turns else largest <= MAX_OFFSET


@lru_cache(maxsize=8)
def _columns(stride: int, pad: int, input_width: int, output_width: int) -> tuple[Column, ...]:
    """All columns under the windows of a row, from left to right."""
    found: dict[int, list[tuple[int, int]]] = {}
    for x in range(output_width):
        for tap in range(KERNEL):
            found.setdefault(x * stride - pad + tap, []).append((x, tap))
    return tuple(Column(place, not 0 <= place < input_width, tuple(found[place])) for place in sorted(found))


@lru_cache(maxsize=8)
def _looped_columns(stride: int, pad: int, input_width: int, output_width: int) -> tuple[int, int]:
    """The first column of a loop, and how many from it on a loop may make."""
    columns, most = _columns(stride, pad, input_width, output_width), KERNEL - stride + 1
    first = next((i for i, c in enumerate(columns) if not c.is_border and len(c.windows) == most), len(columns))
    pattern = (KERNEL,) if stride == 1 else (2, 1)
    kept = (
        not column.is_border and len(column.windows) == pattern[i % len(pattern)]
        for i, column in enumerate(columns[first:])
    )
    return first, sum(1 for _ in takewhile(bool, kept))
