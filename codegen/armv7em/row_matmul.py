"""Sums straight from rows: for dense convolutions, whose windows share most of what they read.

Input rows are widened once, borders included, to two words for each four channels of a pixel, so that a row of a window
is one run of words and neighbouring pixels lie a fixed number of bytes apart. The weights of a pair of channels are
copied to scratch once for all pixels of some output rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from thimble.codegen.armv7em.assembly import MAX_MOVE, MAX_OFFSET, Frame, Listing, add_constant
from thimble.codegen.armv7em.sums import (
    PIXELS,
    Arithmetic,
    extend_weights,
    keep_constants,
    load_weights,
    multiply,
    start_sums,
)

CODE_BYTES, SINGLE_TURN_CODE_BYTES = 800, 976
"""Most code from the first instruction of a group to its last, so that all of a pair stays in a cache of 1 KB; the
second without a loop in it, which saves more than the last lines of the cache."""

TAILS_CODE_BYTES = 936
"""The same with single pixels behind the groups, which run once a pair: what they drive out is little."""

TAIL_STEP_BYTES, TAIL_END_BYTES = 36, 112
"""Code of 8 products of a single pixel, and of what is around them."""

SHORT_TURN = 5
"""Steps in the longest turn that a cache of 1 KB holds: others are not made longer where offsets do not reach."""

LONGEST_TURN = MAX_MOVE // 8
"""Steps over which the last loads of a turn can move their bases on."""

MIN_TAILS_UNROLL = 3
"""Steps in a turn with single pixels behind the groups, however much code that is."""


@dataclass(frozen=True, slots=True)
class RowMatmulForm:
    """What one function is generated for, sizes in pixels.

    `pixel_bytes` and `row_bytes` are those of widened rows: 8 bytes for each four channels; `row_bytes` is 0 where
    windows have one row and calls make one. `channels` are the output's. With `tails`, one or two pixels behind the
    last four are made one by one. `max_unroll` bounds the steps of a turn; 0 leaves them to the size of the code, for
    which there are at least `loop_bytes`.
    """

    arithmetic: Arithmetic
    kernel_height: int
    kernel_width: int
    stride_height: int
    stride_width: int
    pixel_bytes: int
    row_bytes: int
    channels: int
    tails: bool = False
    max_unroll: int = 0
    loop_bytes: int = 0

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        unroll = f"u{self.unroll}" if self.max_unroll else ""
        window = f"{self.kernel_height}x{self.kernel_width}s{self.stride_height}x{self.stride_width}"
        sizes = f"p{self.pixel_bytes}r{self.row_bytes}c{self.channels}"
        return f"{window}_{sizes}_{self.arithmetic.name}{'s' * self.tails}{unroll}"

    @property
    def filled_steps(self) -> int:
        """Steps of four products in a row of a window."""
        return self.kernel_width * self.pixel_bytes // 8

    @property
    def unroll(self) -> int:
        """Steps in one turn of the inner loop, by the fewest cycles of a row of a window."""
        if self.max_unroll:
            return min(self.max_unroll, self.filled_steps, self._most_steps if self.tails else self.max_unroll)
        code_bytes = self.filled_steps * self.arithmetic.step_bytes + self.arithmetic.end_bytes
        is_short = self.filled_steps <= LONGEST_TURN and code_bytes <= self._room_bytes(SINGLE_TURN_CODE_BYTES)
        if self.kernel_height == 1 and not self.tails and is_short:
            return self.filled_steps
        turns = range(1, self._most_steps + 1)
        return min(turns, key=lambda n: -(-self.filled_steps // n) * (n * self.arithmetic.step_cycles + 5))

    @property
    def _most_steps(self) -> int:
        """Steps whose code stays in an instruction cache."""
        end_bytes, step_bytes = self.arithmetic.end_bytes, self.arithmetic.step_bytes
        if not self.tails:
            found = (self._room_bytes(CODE_BYTES) - end_bytes) // step_bytes
        else:
            room_bytes = self._room_bytes(TAILS_CODE_BYTES) - end_bytes - TAIL_END_BYTES
            found = max(room_bytes // (step_bytes + TAIL_STEP_BYTES), MIN_TAILS_UNROLL)
        reached = (MAX_OFFSET - 3 * self.column_bytes) // 8 - 1
        return min(found, max(reached, SHORT_TURN), LONGEST_TURN)

    def _room_bytes(self, least_bytes: int) -> int:
        """Most code from the first instruction of a group to its last."""
        return max(least_bytes, self.loop_bytes)

    @property
    def steps(self) -> int:
        """Steps with those that fill the last turn, whose weights are 0."""
        return -(-self.filled_steps // self.unroll) * self.unroll

    @property
    def spare_bytes(self) -> int:
        """What the steps that fill a turn read behind widened rows."""
        return 8 * (self.steps - self.filled_steps)

    @property
    def turns(self) -> int:
        """Turns of the inner loop in a row of a window."""
        return self.steps // self.unroll

    @property
    def is_single_turn(self) -> bool:
        """Whether a window is one turn of the inner loop."""
        return self.turns == 1 and self.kernel_height == 1

    @property
    def column_bytes(self) -> int:
        """Bytes from the window of one output to that of the next."""
        return self.stride_width * self.pixel_bytes

    @property
    def fits(self) -> bool:
        """Whether all offsets and immediates can be encoded."""
        offsets = (
            3 * self.column_bytes + 8 * self.unroll + 8,
            4 * self.column_bytes,
            4 * self.channels,
        )
        return max(offsets) <= MAX_OFFSET and self.row_bytes * max(self.kernel_height, self.stride_height) < 1 << 16


def keep_weights(a: Listing, frame: Frame, arithmetic: Arithmetic) -> None:
    """Where the weights of a pair in scratch begin and end; r4 is at the scratch, r3 the bytes of a pair."""
    a.op("adds", "r1", "r4", "#4", note="4 bytes low of the weights, behind 2 biases")
    frame.store(a, "r1", "words")
    a.op("add", "r4", "r4", "r3")
    a.op("sub", "r4", "r4", f"#{arithmetic.behind_bytes}", note="where r1 is behind the last weights, 4 bytes low")
    frame.store(a, "r4", "weights_end")


def stage_weights(a: Listing, frame: Frame, arithmetic: Arithmetic) -> None:
    """The pair's weights from flash to scratch, 32 bytes a turn; the table is padded for the last one.

    Behind it r0 is at the rows, and r2 where the pointers to output rows are.
    """
    frame.load(a, "r1", "weights")
    frame.load(a, "r2", "staged")
    frame.load(a, "r3", "pair_bytes")
    a.op("add", "r3", "r3", "r1")
    frame.store(a, "r3", "weights")
    keep_constants(a, frame, arithmetic)
    a.label("stage")
    a.op("ldm", "r1!", "{r4-r11}")
    a.op("stm", "r2!", "{r4-r11}")
    a.op("cmp", "r1", "r3")
    a.branch("blo", "stage")
    frame.load(a, "r2", "outputs")
    frame.load(a, "r0", "rows")


def group_of_sums(a: Listing, frame: Frame, form: RowMatmulForm, pixels_at: Sequence[int] = ()) -> None:
    """The sums of two channels and four pixels, which lie `pixels_at` if not one behind the other; r0 and r1 are at the
    pixels and the weights, and behind them then."""
    start_sums(a, frame, copies=not form.is_single_turn)
    a.op(".balign", 4)
    a.label("turn", f"{form.unroll * form.arithmetic.step_cycles + 5} cycles, {form.unroll * 32} products")
    for step in range(form.unroll):
        _step(a, form, step, pixels_at or range(0, 4 * form.column_bytes, form.column_bytes))
    _end_turn(a, frame, form)


def _step(a: Listing, form: RowMatmulForm, step: int, pixels_at: Sequence[int]) -> None:
    """32 products: r2, r3 weights of two channels, r4, r5 two pixels; the turn's last loads move r0 and r1 on."""
    last = step == form.unroll - 1
    for half in range(2):
        load_weights(a, form.arithmetic, step, half, ends=last)
        for pair in ((2, 3), (1, 0)):
            for register, pixel in zip(PIXELS, pair, strict=True):
                at = pixels_at[pixel] + 8 * step + 4 * half + 4
                ends = last and half == 1 and pixel == 0
                a.op("ldr.w", register, f"[r0, #{at}]" + "!" * ends)
            if pair == (2, 3):
                extend_weights(a, form.arithmetic, half)
            multiply(a, pair, starts=form.is_single_turn and step == half == 0)


def _end_turn(a: Listing, frame: Frame, form: RowMatmulForm) -> None:
    """On to the next turn, or to the window's next row."""
    if form.kernel_height == 1:
        if form.turns > 1:
            frame.load(a, "r3", "weights_end")
            a.op("cmp", "r1", "r3")
            a.branch("bne", "turn")
        return
    if form.turns > 1:
        frame.load(a, "r2", "segment_end")
        a.op("cmp", "r0", "r2")
        a.branch("bne", "turn")
    frame.load(a, "r3", "weights_end")
    add_constant(a, "r0", "r0", form.row_bytes - form.steps * 8, free="r4")
    if form.turns > 1:
        add_constant(a, "r2", "r2", form.row_bytes, free="r4")
        frame.store(a, "r2", "segment_end")
    a.op("cmp", "r1", "r3")
    a.branch("bne", "turn")


def move_on(a: Listing, form: RowMatmulForm, pixels: int) -> None:
    """r0 from behind the last row of a window to the window of so many pixels on."""
    behind = form.row_bytes * form.kernel_height if form.kernel_height > 1 else form.steps * 8
    amount = pixels * form.column_bytes - behind
    if amount >= 0:
        add_constant(a, "r0", "r0", amount, free="r4")
    else:
        a.op("movw", "r4", f"#{-amount}")
        a.op("sub", "r0", "r0", "r4")
