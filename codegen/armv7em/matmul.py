"""The matrix product of columns of any windows: a panel of four columns lies in scratch word by word.

For each four values of depth a panel holds the first words of its four columns, then the second ones, so that all
offsets of a turn of the inner loop fit 16-bit loads and one function serves layers of all shapes. Up to two
columns behind the last group of four are multiplied one by one, which takes less than a group that repeats columns;
their words lie one behind the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from thimble.codegen.armv7em.assembly import Frame, Listing
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
from thimble.compiler.ir.operator import GeneratedKernel

UNROLL = 4
"""Steps of four products in one turn of the inner loop."""

GROUP_STEP_BYTES, TAIL_STEP_BYTES = 32, 8
"""Of a step: of four columns, and of one behind the last four."""

_JOB = ("panel", "weights", "pair_bytes", "outputs", "outputs_end", "channels", "ceiling", "offset", "tails_end")
_FAST = ("weights_end", "words", "next_panel", "next_output", "outputs_end", "channel", "ceiling", "offset", *CONSTANTS)
_NAMES = (*_JOB, "channel", "pairs_done", "weights_end", "words", "next_panel", "next_output", *CONSTANTS)


@dataclass(frozen=True, slots=True)
class MatmulForm:
    """What one function is generated for: `first_steps` is depth / 4 modulo UNROLL. `of_pixels`: columns are pixels."""

    arithmetic: Arithmetic
    first_steps: int
    of_pixels: bool = False

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        return f"{self.arithmetic.name}{self.first_steps}{'p' * self.of_pixels}"

    @property
    def kernel(self) -> str:
        """The name of the kernel: pixels cost less to lay out than windows, so that they are a family of their own."""
        return f"conv_2d_{'pixels_' * self.of_pixels}dsp_{self.name}"

    @property
    def driver(self) -> str:
        """The file of the runtime that makes the columns."""
        return "pixel_columns_dsp" if self.of_pixels else "columns_dsp"

    @property
    def comment(self) -> str:
        """What the form means, for the reader of the C."""
        return f"{self.arithmetic.comment} Depth / 4 modulo {UNROLL} is {self.first_steps}."

    @property
    def widen_argument(self) -> str:
        """What the driver of pixels gets behind the product: how columns are made."""
        widen = "thimble_widen_columns_" + ("folded" if self.arithmetic.folded else "plain")
        return f", {widen}" if self.of_pixels else ""


def matmul_listing(form: MatmulForm, has_fpu: bool) -> Listing:
    """The function of a form, to be called with a thimble_matmul_job."""
    a, frame = Listing(f"thimble_matmul_dsp_{form.name}"), Frame(_NAMES, _FAST, has_fpu)
    frame.begin(a, _JOB)
    a.op("movs", "r0", "#0")
    frame.store(a, "r0", "channel")
    frame.store(a, "r0", "pairs_done")
    a.label("pair")
    frame.load(a, "r1", "weights")
    frame.load(a, "r3", "pair_bytes")
    a.op("add", "r3", "r3", "r1")
    frame.store(a, "r3", "weights")
    keep_constants(a, frame, form.arithmetic)
    a.op("sub", "r3", "r3", f"#{form.arithmetic.behind_bytes}", note="where r1 is behind the last weights, 4 bytes low")
    frame.store(a, "r3", "weights_end")
    a.op("adds", "r1", "#4")
    frame.store(a, "r1", "words")
    frame.load(a, "r3", "outputs")
    frame.load(a, "r0", "panel")
    frame.load(a, "r2", "outputs_end")
    frame.store(a, "r3", "next_output")
    a.op("cmp", "r3", "r2")
    a.branch("beq", "tails")
    a.label("group", "4 columns, 2 channels")
    start_sums(a, frame)
    multiply_panel(a, frame, form.arithmetic, form.first_steps)
    frame.store(a, "r0", "next_panel")
    requantize(a, frame, form.arithmetic)
    _write(a, frame, form.arithmetic)
    _next_group(a, frame)
    _tails(a, frame, form)
    a.label("next_pair")
    next_pair(a, frame, "pair")
    return a


def multiply_panel(a: Listing, frame: Frame, arithmetic: Arithmetic, first_steps: int) -> None:
    """Four columns times the weights of two channels, from r0 and r1 + 4 on until r1 is at `weights_end`."""
    _enter_turn(a, first_steps, GROUP_STEP_BYTES, "entry")
    multiply_turns(a, frame, arithmetic, UNROLL, {UNROLL - first_steps: "entry"})


def multiply_turns(a: Listing, frame: Frame, arithmetic: Arithmetic, unroll: int, entries: Mapping[int, str]) -> None:
    """Turns of `unroll` steps until r1 is at `weights_end`; the first one may begin at any label of `entries`."""
    a.op(".balign", 4, note="so that no 32-bit instruction of the loop crosses a word")
    a.label("turn", f"{unroll * arithmetic.step_cycles + 6} cycles, {unroll * 32} products; 1 more a step from flash")
    for step in range(unroll):
        if step in entries:
            a.label(entries[step])
        _step(a, arithmetic, step)
    a.op("adds", "r0", f"#{GROUP_STEP_BYTES * unroll}")
    a.op("adds", "r1", f"#{8 * unroll}")
    frame.load(a, "r2", "weights_end")
    a.op("cmp", "r1", "r2")
    a.branch("bne", "turn")


def _enter_turn(a: Listing, first_steps: int, step_bytes: int, entry: str) -> None:
    """An inner loop is entered in its middle where the depth is no multiple of a turn; `step_bytes` are columns'."""
    if first_steps:
        missing = UNROLL - first_steps
        a.op("sub", "r0", "r0", f"#{step_bytes * missing}")
        a.op("sub", "r1", "r1", f"#{8 * missing}")
        a.branch("b", entry)


def _step(a: Listing, arithmetic: Arithmetic, step: int) -> None:
    """32 products: r2, r3 weights of two channels, r4, r5 two columns."""
    for half in range(2):
        load_weights(a, arithmetic, step, half)
        for pair in range(2):
            at = GROUP_STEP_BYTES * step + 16 * half + 8 * pair
            a.op("ldr", PIXELS[0], f"[r0, #{at}]")
            a.op("ldr", PIXELS[1], f"[r0, #{at + 4}]")
            if pair == 0:
                extend_weights(a, arithmetic, half)
            multiply(a, (2 * pair, 2 * pair + 1))


def _write(a: Listing, frame: Frame, arithmetic: Arithmetic) -> None:
    """Both channels of each column to where its pixel lies."""
    frame.load(a, "r0", "next_output")
    a.op("ldm", "r0!", "{r2-r5}", note="four pixels")
    frame.store(a, "r0", "next_output")
    join_channels(a, frame, arithmetic)
    frame.load(a, SUMS[1], "channel")
    for total, pixel in zip(SUMS[::2], ("r2", "r3", "r4", "r5"), strict=True):
        a.op("strh", total, f"[{pixel}, {SUMS[1]}]")


def _next_group(a: Listing, frame: Frame) -> None:
    """The next four columns."""
    frame.load(a, "r2", "outputs_end")
    frame.load(a, "r1", "words")
    a.op("cmp", "r0", "r2")
    frame.load(a, "r0", "next_panel")
    a.branch("bne", "group")


def _tails(a: Listing, frame: Frame, form: MatmulForm) -> None:
    """The columns behind the last group one by one: r0 is at the column, and behind it at the next; r8 the weights'
    end."""
    a.label("tails", "1 column, 2 channels")
    frame.load(a, "r2", "next_output")
    frame.load(a, "r3", "tails_end")
    a.op("cmp", "r2", "r3")
    a.branch("beq", "next_pair")
    frame.load(a, "r1", "words")
    frame.load(a, "r8", "weights_end")
    start_sums(a, frame, copies=False)
    _enter_turn(a, form.first_steps, TAIL_STEP_BYTES, "tail_entry")
    a.op(".balign", 4)
    a.label("tail_turn")
    for step in range(UNROLL):
        if form.first_steps and step == UNROLL - form.first_steps:
            a.label("tail_entry")
        multiply_single(a, form.arithmetic, step, TAIL_STEP_BYTES * step, TAIL_STEP_BYTES * step + 4)
    a.op("adds", "r0", f"#{TAIL_STEP_BYTES * UNROLL}")
    a.op("adds", "r1", f"#{8 * UNROLL}")
    a.op("cmp", "r1", "r8")
    a.branch("bne", "tail_turn")
    requantize(a, frame, form.arithmetic, pixels=1)
    frame.load(a, "r2", "next_output")
    join_channels(a, frame, form.arithmetic, pixels=1)
    frame.load(a, "r3", "channel")
    a.op("ldr", "r4", "[r2], #4", note="the pixel")
    frame.store(a, "r2", "next_output")
    a.op("strh", SUMS[0], "[r4, r3]")
    a.branch("b", "tails")


@lru_cache(maxsize=256)
def conv_2d_source(form: MatmulForm, has_fpu: bool) -> GeneratedKernel:
    """The files of kernel conv_2d_dsp_<form> or conv_2d_pixels_dsp_<form>: the assembly, its portable twin, and the
    kernel that uses them."""
    name = f"thimble_{form.kernel}"
    files = kernel_files(name, "conv_2d_dsp", form=form, assembly=matmul_listing(form, has_fpu).text)
    return GeneratedKernel(files, needs=("columns_dsp", *((form.driver,) if form.of_pixels else ())))
