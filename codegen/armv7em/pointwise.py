"""Pointwise convolutions of any depth, width and number of channels by one function: compact kernels.

Four pixels at a time are widened side by side, as columns are in matmul.py: for each four channels the first words of
the four pixels, then the second ones. So nothing in the function depends on the depth but how many steps there are, and
the first turn of the inner loop is entered where the last one ends with a whole turn. What that costs over a function
for each shape is 4 cycles a group to enter the loop, 4 for output channels in a register, and for shallow layers the
end of a turn and sums that begin as copies of the biases.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from thimble.codegen.armv7em.assembly import Frame, Listing
from thimble.codegen.armv7em.matmul import multiply_turns
from thimble.codegen.armv7em.packing import PairsLayout, call_arguments, pair_words
from thimble.codegen.armv7em.rendering import kernel_files
from thimble.codegen.armv7em.row_matmul import stage_weights
from thimble.codegen.armv7em.shared_shift import SharedShift
from thimble.codegen.armv7em.sums import (
    CONSTANTS,
    SUMS,
    Arithmetic,
    join_channels,
    multiply_single,
    next_pair,
    requantize,
    start_sums,
)
from thimble.codegen.kernel_tools.plain_layer import PlainLayer
from thimble.codegen.kernel_tools.requantize import Requantization
from thimble.codegen.kernel_tools.sizes import Sizes, are_pixels_inside
from thimble.compiler.ir.operator import GeneratedKernel, KernelCall

UNROLL, SINGLES_UNROLL = 6, 4
"""Steps of four products in one turn of the inner loop; fewer where code for single pixels shares the cache."""

ROWS_BYTES = 20 << 10
"""Most scratch for widened pixels and one pair's weights."""

PIXELS_AT_ONCE = 128
"""Pixels of widened rows that are worth copying a pair's weights for; more at once bring little."""

MIN_PIXELS = 4
"""Shortest row of pixels: THIMBLE_MIN_PIXELS in the runtime."""

SINGLE_TURN_CYCLES, OWN_CODE_CYCLES = 20, 150_000
"""What a function for one shape saves for four pixels and two channels where its inner loop is a single turn, and what
it has to save in an inference to be worth its 700 bytes and 1.4 KB of C around it, which other layers may not need."""

MAX_SINGLES, SINGLES_CYCLES = 2, 10_000
"""So many pixels behind the last four are made one by one where that saves at least so many cycles of an inference, by
a function of 250 bytes more."""

GROUP_STEP_CYCLES, SINGLE_STEP_CYCLES = 33, 14
"""A step of four pixels, and of one."""

MAX_REPEATED_SHARE = 3
"""Rows of which more than a third of the pixels would be made twice become columns."""

MAX_ROWS = 8
"""THIMBLE_MAX_WIDE_ROWS and THIMBLE_MAX_POINTWISE_ROWS in the runtime."""

_JOB = (
    *("rows", "weights", "pair_bytes", "staged", "outputs", "outputs_end", "channels", "ceiling", "offset"),
    *("last_pixel", "skipped"),
)
_FAST = ("words", "weights_end", "entry", "skipped_bytes", "output", "last_output", "channels", *CONSTANTS, "channel")
_NAMES = (
    *_JOB,
    *("channel", "pairs_done", "words", "weights_end", "entry", "skipped_bytes", "output", "last_output", "next_row"),
    *("single", "singles_end"),
    *CONSTANTS,
)


@dataclass(frozen=True, slots=True)
class PointwiseForm:
    """What one function is generated for: how sums are made, and whether pixels behind the last four are `singles`."""

    arithmetic: Arithmetic
    singles: bool

    @property
    def unroll(self) -> int:
        """Steps in a turn of the inner loop."""
        return SINGLES_UNROLL if self.singles else UNROLL

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        return f"pointwise_{self.arithmetic.name}{'_singles' * self.singles}"


def pointwise_listing(form: PointwiseForm, has_fpu: bool) -> Listing:
    """The function of a form, to be called with a thimble_pointwise_job."""
    a, frame = Listing(f"thimble_rows_matmul_dsp_{form.name}"), Frame(_NAMES, _FAST, has_fpu)
    frame.begin(a, _JOB)
    _find_entry(a, frame, form)
    a.op("movs", "r0", "#0")
    frame.store(a, "r0", "channel")
    frame.store(a, "r0", "pairs_done")
    a.label("pair")
    stage_weights(a, frame, form.arithmetic)
    a.label("row")
    _start_row(a, frame)
    a.label("group", "4 pixels, 2 channels")
    frame.load(a, "r1", "words")
    frame.load(a, "r2", "skipped_bytes")
    frame.load(a, "r3", "entry")
    a.op("subs", "r0", "r0", "r2")
    start_sums(a, frame)
    a.op("bx", "r3")
    multiply_turns(a, frame, form.arithmetic, form.unroll, {step: f"step_{step}" for step in range(form.unroll)})
    requantize(a, frame, form.arithmetic)
    join_channels(a, frame, form.arithmetic)
    _write(a, frame, form)
    next_pair(a, frame, "pair")
    a.label("entries")
    for step in range(form.unroll):
        a.op(".hword", f"{a.local(f'step_{step}')} - {a.local('turn')} + 1")
    return a


def _find_entry(a: Listing, frame: Frame, form: PointwiseForm) -> None:
    """Where the first turn begins, r11 steps behind its start; r3 to r5 are still fields of the job."""
    a.op("adr.w", "r0", a.local("entries"))
    a.op("adr.w", "r1", a.local("turn"))
    a.op("ldrh", "r2", "[r0, r11, lsl #1]")
    a.op("add", "r2", "r2", "r1")
    frame.store(a, "r2", "entry")
    a.op("lsl", "r2", "r11", "#5")
    frame.store(a, "r2", "skipped_bytes")
    a.op("add", "r2", "r4", "#4", note="4 bytes low of the weights, behind 2 biases")
    a.op("sub", "r2", "r2", "r11", "lsl #3")
    frame.store(a, "r2", "words")
    a.op("add", "r4", "r4", "r3")
    a.op("sub", "r4", "r4", f"#{form.arithmetic.behind_bytes}", note="where r1 is behind the last weights, 4 bytes low")
    frame.store(a, "r4", "weights_end")


def _start_row(a: Listing, frame: Frame) -> None:
    """r2 is where the output row's pointer is."""
    a.op("ldr", "r3", "[r2], #4", note="the output row")
    frame.load(a, "r4", "channel")
    frame.store(a, "r2", "next_row")
    a.op("add", "r3", "r3", "r4")
    frame.load(a, "r5", "last_pixel")
    frame.store(a, "r3", "output")
    a.op("add", "r4", "r3", "r5")
    frame.store(a, "r4", "last_output")


def _write(a: Listing, frame: Frame, form: PointwiseForm) -> None:
    """Four pixels, and on to the next four, some of which may be those before at the end of a row; the next row."""
    frame.load(a, "r2", "output")
    frame.load(a, "r3", "last_output")
    frame.load(a, "r4", "channels")
    for total in SUMS[::2]:
        a.op("strh.w", total, "[r2]")
        a.op("add.w", "r2", "r2", "r4")
    frame.store(a, "r2", "output")
    a.op("cmp", "r2", "r3")
    a.branch("bls", "group")
    a.op("sub", "r4", "r2", "r4", "lsl #2")
    frame.store(a, "r3", "output")
    a.op("cmp", "r4", "r3")
    if form.singles:
        a.branch("beq", "row_end")
        _singles(a, frame, form)
        a.label("row_end")
    else:
        a.branch("bne", "group", note="the last four pixels overlap the ones before")
    frame.load(a, "r2", "next_row")
    frame.load(a, "r3", "outputs_end")
    a.op("cmp", "r2", "r3")
    a.branch("bne", "row")


def _singles(a: Listing, frame: Frame, form: PointwiseForm) -> None:
    """One or two pixels, the last ones of four that are laid out as a group; r3 is the group's first output, r4 that
    of the group before."""
    frame.load(a, "r5", "channels")
    a.op("subs", "r4", "r3", "r4", note="outputs that are left")
    a.op("cmp", "r4", "r5", "lsl #1")
    a.branch("bhi", "group", note="three: the last four pixels overlap the ones before")
    a.op("add", "r2", "r3", "r5", "lsl #2")
    frame.store(a, "r2", "singles_end")
    a.op("sub", "r2", "r2", "r4")
    a.op("adds", "r0", "#12", note="the last of four pixels")
    a.op("cmp", "r4", "r5")
    a.op("it", "ne")
    a.op("subne", "r0", "r0", "#4", note="or the one before")
    a.label("single", "1 pixel, 2 channels")
    frame.store(a, "r2", "output")
    frame.store(a, "r0", "single")
    frame.load(a, "r1", "staged")
    frame.load(a, "r8", "weights_end")
    a.op("adds", "r1", "#4")
    start_sums(a, frame, copies=False)
    _multiply_single_pixel(a, form)
    requantize(a, frame, form.arithmetic, pixels=1)
    join_channels(a, frame, form.arithmetic, pixels=1)
    frame.load(a, "r2", "output")
    frame.load(a, "r3", "channels")
    frame.load(a, "r4", "singles_end")
    a.op("strh.w", SUMS[0], "[r2]")
    a.op("add", "r2", "r2", "r3")
    a.op("cmp", "r2", "r4")
    a.branch("beq", "singles_made")
    frame.load(a, "r0", "single")
    a.op("adds", "r0", "#4")
    a.branch("b", "single")
    a.label("singles_made")
    a.op("subs", "r0", "#12")


def _multiply_single_pixel(a: Listing, form: PointwiseForm) -> None:
    """All steps of the pixel whose words lie 32 bytes apart from r0 on, two a turn; r8 is the end of the weights."""
    a.op("sub", "r2", "r8", "r1", note="8 bytes a step")
    a.op("lsls", "r2", "r2", "#29")
    a.branch("bcc", "single_turn")
    a.op("subs", "r0", "#32", note="an odd number of steps begins in the middle of a turn")
    a.op("subs", "r1", "#8")
    a.branch("b", "odd_step")
    a.op(".balign", 4)
    a.label("single_turn", "27 cycles, 16 products")
    multiply_single(a, form.arithmetic, 0, 0, 16)
    a.label("odd_step")
    multiply_single(a, form.arithmetic, 1, 32, 48)
    a.op("adds", "r0", "#64")
    a.op("adds", "r1", "#16")
    a.op("cmp", "r1", "r8")
    a.branch("bne", "single_turn")


@lru_cache(maxsize=64)
def pointwise_source(form: PointwiseForm, has_fpu: bool) -> GeneratedKernel:
    """The files of kernel conv_2d_rows_dsp_pointwise_<form>: the assembly, its twin, and the kernel that uses them."""
    name = f"thimble_conv_2d_rows_dsp_{form.name}"
    files = kernel_files(name, "pointwise_dsp", form=form, assembly=pointwise_listing(form, has_fpu).text)
    return GeneratedKernel(files, needs=("pointwise_dsp",))


def pointwise_call(
    layer: PlainLayer,
    sizes: Sizes,
    arithmetic: Arithmetic,
    constants: Requantization | SharedShift,
    has_fpu: bool,
    limit_bytes: int,
) -> KernelCall | None:
    """The compact kernel of a pointwise convolution; None for other ones, and for rows of few pixels.

    `sizes` are the plain kernel's, of one row where all pixels of whole tensors are one (`flat`). At least four pixels
    are taken at once.
    """
    if not _is_pointwise(sizes):
        return None
    depth, width = sizes["input_channels"], sizes["output_width"]
    steps = -(-depth // 4)
    spare = -(-(8 * steps + arithmetic.pair_bytes) // 32) * 32
    most = (min(ROWS_BYTES, limit_bytes) - spare) // (8 * steps)
    pixels = pixels_portion(width, min(most, PIXELS_AT_ONCE))
    at_once = (
        max(min(min(most, PIXELS_AT_ONCE) // pixels, sizes["output_height"], MAX_ROWS), 1) if pixels == width else 1
    )
    scratch = spare + at_once * -(-pixels // 4) * 32 * steps
    if scratch > limit_bytes:
        return None
    weights = np.pad(layer.weights.astype(np.int64), ((0, 0), (0, 4 * steps - depth)))
    table = pair_words(weights, layer.start, constants, arithmetic.folded).reshape(-1)
    words = np.concatenate([table, np.zeros((spare - 8 * steps - arithmetic.pair_bytes) // 4, np.int32)])
    kept = ("input_height", "input_channels", "stride_height", "stride_width", "output_height", "output_width")
    limits = ("output_channels", "output_min", "output_max")
    form = PointwiseForm(arithmetic, _saved_by_singles(sizes, pixels, len(layer.weights)) >= SINGLES_CYCLES)
    params = (
        *((name, sizes[name]) for name in (*kept, *limits)),
        ("pixels_at_once", pixels),
        ("rows_at_once", at_once),
        ("flat", sizes["flat"]),
        ("skipped_steps", -steps % form.unroll),
    )
    source = pointwise_source(form, has_fpu)
    kernel = f"conv_2d_rows_dsp_{form.name}"
    layout = PairsLayout(arithmetic, len(layer.weights), 2 * steps, "({sizes}input_channels + 3) / 4 * 2")
    return KernelCall(kernel, params, call_arguments(words, scratch, layout), source)


def _saved_by_singles(sizes: Sizes, pixels: int, channels: int) -> int:
    """Cycles of an inference that it saves to make one or two pixels behind the last four alone."""
    full, rest = divmod(sizes["output_width"], pixels)
    singles = [n % 4 for n in (*(pixels,) * full, rest) if 0 < n % 4 <= MAX_SINGLES]
    steps = -(-sizes["input_channels"] // 4)
    saved = len(singles) * GROUP_STEP_CYCLES * steps - sum(singles) * SINGLE_STEP_CYCLES * steps
    return sizes["output_height"] * -(-channels // 2) * saved


def _is_pointwise(sizes: Sizes) -> bool:
    """Whether outputs are made from single pixels inside of the input, in rows of four and more."""
    ones = ("kernel_height", "kernel_width", "dilation_height", "dilation_width")
    enough = sizes["input_channels"] > 1 and sizes["output_width"] >= MIN_PIXELS
    return all(sizes[name] == 1 for name in ones) and are_pixels_inside(sizes) and enough


def shares_function(sizes: Sizes) -> bool:
    """Whether a layer is better off with the function of all layers, and few pixels are made twice.

    Kernels for one shape, whose inner loop is a single turn, save the end of it and its entry.
    """
    width = sizes["output_width"]
    groups = sizes["output_height"] * -(-width // 4)
    saved = SINGLE_TURN_CYCLES * groups * -(-sizes["output_channels"] // 2)
    is_single_turn = sizes["input_channels"] <= 4 * UNROLL
    pays_own_code = is_single_turn and saved > OWN_CODE_CYCLES
    return _is_pointwise(sizes) and not pays_own_code and -width % 4 * MAX_REPEATED_SHARE <= width


def pixels_portion(pixels: int, most: int) -> int:
    """Pixels at once: as few as make the copy of the weights cheap, the last portion not below MIN_PIXELS."""
    wanted = max(most // 4 * 4, MIN_PIXELS)
    fitting = (n for n in range(wanted, MIN_PIXELS - 1, -1) if pixels % n == 0 or pixels % n >= MIN_PIXELS)
    return min(next(fitting, pixels), pixels)
