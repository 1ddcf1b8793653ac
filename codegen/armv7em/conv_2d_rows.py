"""The function that makes rows of outputs straight from widened rows (row_matmul.py), and its kernel's files."""

from __future__ import annotations

from functools import lru_cache

from thimble.codegen.armv7em.assembly import Frame, Listing, add_constant
from thimble.codegen.armv7em.rendering import kernel_files
from thimble.codegen.armv7em.row_matmul import RowMatmulForm, group_of_sums, keep_weights, move_on, stage_weights
from thimble.codegen.armv7em.sums import (
    CONSTANTS,
    SUMS,
    join_channels,
    multiply_single,
    next_pair,
    requantize,
    start_sums,
)
from thimble.codegen.armv7em.windows import Window
from thimble.compiler.ir.operator import GeneratedKernel

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
