"""The matrix product straight from rows: for dense convolutions, whose windows share most of what they read.

Input rows are widened once, borders included, to two words for each four channels of a pixel, so that a row of a window
is one run of words and neighbouring pixels lie a fixed number of bytes apart. The weights of a pair of channels are
copied to scratch once for all pixels of some output rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from thimble.codegen.armv7em.assembly import MAX_MOVE, MAX_OFFSET, Frame, Listing, add_constant
from thimble.codegen.armv7em.rendering import kernel_files
from thimble.codegen.armv7em.sums import (
    CONSTANTS,
    PIXELS,
    SUMS,
    Arithmetic,
    extend_weights,
    join_channels,
    keep_constants,
    load_weights,
    multiply,
    multiply_single,
    next_pair,
    requantize,
    start_sums,
)
from thimble.codegen.armv7em.windows import Window
from thimble.compiler.ir.operator import GeneratedKernel

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

_JOB = (
    *("rows", "weights", "pair_bytes", "staged", "outputs", "outputs_end", "channels", "ceiling", "offset"),
    *("last_column", "last_pixel", "tails"),
)
_FAST = ("segment_end", "weights_end", "output", "last_output", "words", *CONSTANTS, "ceiling", "offset", "channel")
_NAMES = (
    *_JOB,
    *("channel", "pairs_done", "weights_end", "segment_end", "row", "words", "output", "last_output", "next_row"),
    "tails_left",
    *CONSTANTS,
)


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


def row_matmul_listing(form: RowMatmulForm, has_fpu: bool, name: str) -> Listing:
    """The function of a form, to be called with a thimble_row_matmul_job."""
    a = Listing(name)
    frame = Frame(_NAMES, _FAST, has_fpu)
    frame.begin(a, _JOB)
    keep_weights(a, frame, form.arithmetic)
    a.op("movs", "r0", "#0")
    frame.store(a, "r0", "channel")
    frame.store(a, "r0", "pairs_done")
    a.label("pair")
    stage_weights(a, frame, form.arithmetic)
    a.label("row")
    _start_row(a, frame, form)
    a.op(".balign", 4, note="so that no 32-bit instruction of the loop crosses a word")
    a.label("group", "4 pixels, 2 channels")
    frame.load(a, "r1", "words")
    if form.turns > 1 and form.kernel_height > 1:
        add_constant(a, "r2", "r0", form.steps * 8)
        frame.store(a, "r2", "segment_end")
    group_of_sums(a, frame, form)
    requantize(a, frame, form.arithmetic)
    join_channels(a, frame, form.arithmetic)
    _next(a, frame, form)
    return a


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


def _start_row(a: Listing, frame: Frame, form: RowMatmulForm) -> None:
    """r0 is the first widened row of the output row, r2 where the output row's pointer is."""
    a.op("ldr", "r3", "[r2], #4", note="the output row")
    frame.load(a, "r4", "channel")
    frame.store(a, "r2", "next_row")
    frame.store(a, "r0", "row")
    a.op("add", "r3", "r3", "r4")
    frame.load(a, "r5", "last_pixel")
    frame.store(a, "r3", "output")
    a.op("add", "r4", "r3", "r5")
    frame.store(a, "r4", "last_output")
    a.op("sub", "r0", "r0", "#4", note="loads are 4 bytes ahead of their base")


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


def _next(a: Listing, frame: Frame, form: RowMatmulForm) -> None:
    """The next four pixels, which at the end of a row may overlap the last ones; the next row; the next channels."""
    frame.load(a, "r2", "output")
    frame.load(a, "r3", "last_output")
    for pixel, total in enumerate(SUMS[::2]):
        a.op("strh.w", total, f"[r2, #{pixel * form.channels}]")
    a.op("add", "r2", "r2", f"#{4 * form.channels}")
    move_on(a, form, 4)
    frame.store(a, "r2", "output")
    a.op("cmp", "r2", "r3")
    a.branch("bls", "group")
    if form.tails:
        _tails(a, frame, form)
    a.op("sub", "r4", "r2", f"#{4 * form.channels}")
    frame.store(a, "r3", "output")
    a.op("cmp", "r4", "r3")
    frame.load(a, "r0", "row")
    a.branch("beq", "row_end")
    frame.load(a, "r3", "last_column")
    a.op("subs", "r0", "#4", note="the last four pixels overlap the ones before")
    a.op("add", "r0", "r0", "r3")
    a.branch("b", "group")
    a.label("row_end")
    if form.row_bytes:
        frame.load(a, "r2", "next_row")
        frame.load(a, "r3", "outputs_end")
        a.op("cmp", "r2", "r3")
        add_constant(a, "r0", "r0", form.stride_height * form.row_bytes, free="r4")
        a.branch("bne", "row")
    next_pair(a, frame, "pair")


def _tails(a: Listing, frame: Frame, form: RowMatmulForm) -> None:
    """Pixels behind the last four one by one; r0 is at the first one, r2 where it is written."""
    frame.load(a, "r4", "tails")
    a.op("cmp", "r4", "#0")
    a.branch("beq", "no_tails")
    frame.store(a, "r4", "tails_left")
    a.op("adds", "r0", "#4")
    a.label("tail", "1 pixel, 2 channels")
    frame.load(a, "r1", "words")
    add_constant(a, "r8", "r0", 8 * form.steps)
    start_sums(a, frame, copies=False)
    a.op(".balign", 4)
    a.label("tail_turn", f"{11 * form.unroll + 6} cycles, {8 * form.unroll} products")
    for step in range(form.unroll):
        multiply_single(a, form.arithmetic, step, 8 * step, 8 * step + 4)
    a.op("adds", "r0", f"#{8 * form.unroll}")
    a.op("adds", "r1", f"#{8 * form.unroll}")
    a.op("cmp", "r0", "r8")
    a.branch("bne", "tail_turn")
    requantize(a, frame, form.arithmetic, pixels=1)
    join_channels(a, frame, form.arithmetic, pixels=1)
    frame.load(a, "r2", "output")
    frame.load(a, "r3", "tails_left")
    a.op("strh.w", SUMS[0], "[r2]")
    a.op("add", "r2", "r2", f"#{form.channels}")
    frame.store(a, "r2", "output")
    if form.spare_bytes:
        a.op("subs", "r0", f"#{form.spare_bytes}")
    a.op("subs", "r3", "#1")
    frame.store(a, "r3", "tails_left")
    a.branch("bne", "tail")
    a.branch("b", "row_end")
    a.label("no_tails")


def move_on(a: Listing, form: RowMatmulForm, pixels: int) -> None:
    """r0 from behind the last row of a window to the window of so many pixels on."""
    behind = form.row_bytes * form.kernel_height if form.kernel_height > 1 else form.steps * 8
    amount = pixels * form.column_bytes - behind
    if amount >= 0:
        add_constant(a, "r0", "r0", amount, free="r4")
    else:
        a.op("movw", "r4", f"#{-amount}")
        a.op("sub", "r0", "r0", "r4")


@lru_cache(maxsize=256)
def conv_2d_rows_source(form: RowMatmulForm, has_fpu: bool, window: Window | None = None) -> GeneratedKernel:
    """The files of kernel conv_2d_rows_dsp_<form>: the assembly, and the kernel that uses it or its twin.

    With a `window` it is conv_2d_windows_dsp_<form>_<window>: the form's pixels are windows that the kernel gathers.
    """
    family, suffix = ("rows", "") if window is None else ("windows", f"_{window.name}")
    name = f"thimble_conv_2d_{family}_dsp_{form.name}{suffix}"
    function = f"thimble_{family}_matmul_dsp_{form.name}{suffix}"
    assembly = row_matmul_listing(form, has_fpu, function).text
    given = {"name": name, "function": function, "form": form, "window": window, "assembly": assembly}
    files = kernel_files(name, "conv_2d_rows_dsp", **given)
    return GeneratedKernel(files, needs=("wide_rows_dsp", *(("flat_windows_dsp",) if window else ())))
