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
from thimble.codegen.armv7em.rendering import render
from thimble.codegen.armv7em.row_matmul import stage_weights
from thimble.codegen.armv7em.shared_shift import SharedShift
from thimble.codegen.armv7em.sums import (
    CONSTANTS,
    SUMS,
    Arithmetic,
    join_channels,
    next_pair,
    requantize,
    start_sums,
)
from thimble.codegen.kernel_tools.plain_layer import PlainLayer
from thimble.codegen.kernel_tools.requantize import Requantization
from thimble.codegen.kernel_tools.sizes import Sizes
from thimble.compiler.ir.operator import GeneratedKernel, KernelCall

UNROLL = 6
"""Steps of four products in one turn of the inner loop."""

ROWS_BYTES = 20 << 10
"""Most scratch for widened pixels and one pair's weights."""

PIXELS_AT_ONCE = 128
"""Pixels of widened rows that are worth copying a pair's weights for; more at once bring little."""

MIN_PIXELS = 4
"""Shortest row of pixels: THIMBLE_MIN_PIXELS in the runtime."""

SINGLE_TURN_CYCLES, OWN_CODE_CYCLES = 20, 150_000
"""What a function for one shape saves for four pixels and two channels where its inner loop is a single turn, and what
it has to save in an inference to be worth its 700 bytes and 1.4 KB of C around it, which other layers may not need."""

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
    *CONSTANTS,
)


@dataclass(frozen=True, slots=True)
class PointwiseForm:
    """What one function is generated for: nothing but how sums are made."""

    arithmetic: Arithmetic

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        return f"pointwise_{self.arithmetic.name}"


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
    multiply_turns(a, frame, form.arithmetic, UNROLL, {step: f"step_{step}" for step in range(UNROLL)})
    requantize(a, frame, form.arithmetic)
    join_channels(a, frame, form.arithmetic)
    _write(a, frame)
    next_pair(a, frame, "pair")
    a.label("entries")
    for step in range(UNROLL):
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


def _write(a: Listing, frame: Frame) -> None:
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
    a.branch("bne", "group", note="the last four pixels overlap the ones before")
    frame.load(a, "r2", "next_row")
    frame.load(a, "r3", "outputs_end")
    a.op("cmp", "r2", "r3")
    a.branch("bne", "row")


@lru_cache(maxsize=64)
def pointwise_source(form: PointwiseForm, has_fpu: bool) -> GeneratedKernel:
    """The files of kernel conv_2d_rows_dsp_pointwise_<form>: the assembly, its twin, and the kernel that uses them."""
    name = f"thimble_conv_2d_rows_dsp_{form.name}"
    files = (
        (f"{name}.c", render("pointwise_dsp.c.j2", form=form, assembly=pointwise_listing(form, has_fpu).text)),
        (f"{name}.h", render("pointwise_dsp.h.j2", form=form)),
    )
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
    params = (
        *((name, sizes[name]) for name in (*kept, *limits)),
        ("pixels_at_once", pixels),
        ("rows_at_once", at_once),
        ("flat", sizes["flat"]),
        ("skipped_steps", -steps % UNROLL),
    )
    source = pointwise_source(PointwiseForm(arithmetic), has_fpu)
    kernel = f"conv_2d_rows_dsp_{PointwiseForm(arithmetic).name}"
    layout = PairsLayout(arithmetic, len(layer.weights), 2 * steps, "({sizes}input_channels + 3) / 4 * 2")
    return KernelCall(kernel, params, call_arguments(words, scratch, layout), source)


def _is_pointwise(sizes: Sizes) -> bool:
    """Whether outputs are made from single pixels inside of the input, in rows of four and more."""
    ones = ("kernel_height", "kernel_width", "dilation_height", "dilation_width")
    reach = (sizes["output_width"] - 1) * sizes["stride_width"]
    inside = sizes["pad_top"] == sizes["pad_left"] == 0 and reach < sizes["input_width"]
    enough = sizes["input_channels"] > 1 and sizes["output_width"] >= MIN_PIXELS
    return all(sizes[name] == 1 for name in ones) and inside and enough


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
