"""Depthwise convolution straight from pixels: four channels of one pixel at a time, with next to no scratch.

A table holds for each output pixel the places of the input pixels under its taps, those of borders being one pixel of
zero points, and its own place, all as distances from some address. All pixels of the table are made for four channels,
whose weights then stay in small data caches, before the next four; a word of four channels becomes two words of two by
SXTB16, which meet weights packed in the same way. Taps are taken three at a time, so that their loads pipeline; weights
of taps that are missing at the end are 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from thimble.codegen.armv7em.assembly import Frame, Listing, registers
from thimble.codegen.armv7em.rendering import kernel_files
from thimble.codegen.armv7em.sums_to_bytes import QUAD_SUMS, join_quad, scale_sum
from thimble.codegen.kernel_tools.arguments import row_arguments
from thimble.codegen.kernel_tools.plain_layer import PlainLayer
from thimble.codegen.kernel_tools.requantize import Requantization
from thimble.codegen.kernel_tools.sizes import Sizes, window_of
from thimble.codegen.kernel_tools.words import int32_words, words_of_byte
from thimble.compiler.ir.operator import (
    Array,
    GeneratedKernel,
    KernelCall,
    Scratch,
    Table,
)

GROUP = 3
"""Taps whose loads pipeline."""

MAX_UNROLLED = 3
"""Most groups of taps without a loop: more would leave small instruction caches."""

MAX_TAPS = 81
MAX_PIXELS = 16
"""Pixels of a table: more of them read the weights from flash less often."""

_JOB = ("places", "places_end", "packed", "quad_bytes", "base", "channels", "ceiling", "offset")
_NAMES = (*_JOB, "channel", "channels_done", "weights_end")
"""`channel`: where the table lies, moved by the channel."""


@dataclass(frozen=True, slots=True)
class PixelsForm:
    """What one function is generated for; the fields mean what those of DepthwiseForm do.

    `in_place`: a table has one pixel, and lies on the stack, as the zero points lie in flash: no scratch. `is_late`:
    and each pixel is written when the next one is made.
    """

    groups: int
    total_shift: int | None
    scale_bits: int
    rounds_ties: bool
    clamps: bool
    has_fpu: bool
    in_place: bool
    is_late: bool

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        shift = f"v{self.scale_bits}" if self.total_shift is None else str(self.total_shift)
        return f"{self.groups}_{shift}{'t' * self.rounds_ties}{'c' * self.clamps}{'p' * self.in_place}"

    @property
    def kernel(self) -> str:
        """The name of the kernel."""
        return f"depthwise_{'late_' * self.is_late}pixels_dsp_{self.name}"

    @property
    def quad_words(self) -> int:
        """Packed words of four channels."""
        return 4 + 2 * GROUP * self.groups + (8 if self.total_shift is not None else 12)


def pixels_listing(form: PixelsForm) -> Listing:
    """The function of a form, to be called with a thimble_pixels_job."""
    a, frame = Listing(f"thimble_{form.kernel}_quads"), Frame(_NAMES, _NAMES, form.has_fpu)
    frame.begin(a, _JOB)
    a.op("movs", "r2", "#0")
    frame.store(a, "r5", "channel")
    frame.store(a, "r2", "channels_done")
    a.label("quad", "four channels")
    frame.load(a, "r0", "places")
    frame.load(a, "r1", "packed")
    frame.load(a, "r2", "channel")
    if form.groups > MAX_UNROLLED:
        a.op("add", "r1", "r1", f"#{16 + 8 * GROUP * form.groups}")
        frame.store(a, "r1", "weights_end")
    a.label("pixel")
    frame.load(a, "r1", "packed")
    a.op("ldm", "r1!", registers(QUAD_SUMS), note="biases")
    if form.groups > MAX_UNROLLED:
        a.op(".balign", 4)
        a.label("group")
        _group(a)
        frame.load(a, "r3", "weights_end")
        a.op("cmp", "r1", "r3")
        a.branch("bne", "group")
    else:
        for _ in range(form.groups):
            _group(a)
    _requantize(a, frame, form)
    a.op("ldr", "r3", "[r0], #4", note="the output pixel")
    frame.load(a, "r4", "places_end")
    a.op("str", QUAD_SUMS[0], "[r3, r2]")
    a.op("cmp", "r0", "r4")
    a.branch("bne", "pixel")
    _next(a, frame)
    return a


def _group(a: Listing) -> None:
    """12 products of three taps, 34 cycles: r0 is at the places, r1 at the weights; r2 is what they are relative to."""
    data = ("r3", "r4", "r5")
    a.op("ldm", "r0!", registers(data))
    for register in data:
        a.op("ldr", register, f"[{register}, r2]")
    weights = ("r6", "r7", "r12")
    order = iter((*weights, *weights))
    for number, register in enumerate(data):
        for half, (low, high) in enumerate(((QUAD_SUMS[0], QUAD_SUMS[2]), (QUAD_SUMS[1], QUAD_SUMS[3]))):
            if (2 * number + half) % len(weights) == 0:
                a.op("ldm", "r1!", registers(weights))
            lanes = register if half else "lr"
            a.op("sxtb16", lanes, register, *(("ror #8",) if half else ()))
            word = next(order)
            a.op("smlabb", low, lanes, word, low)
            a.op("smlatt", high, lanes, word, high)


def _requantize(a: Listing, frame: Frame, form: PixelsForm) -> None:
    """All four sums to bytes of one word, in r8."""
    saturate = "usat" if form.clamps else "ssat"
    for pair in (QUAD_SUMS[:2], QUAD_SUMS[2:]):
        a.op("ldm", "r1!", "{r3-r6}", note="multiplier and addend, twice")
        for total, (multiplier, addend) in zip(pair, (("r3", "r4"), ("r5", "r6")), strict=True):
            scale_sum(a, total, multiplier, addend, form.scale_bits, rounds_ties=form.rounds_ties, spare="r7")
    if form.total_shift is None:
        a.op("ldm", "r1!", "{r3-r6}", note="shifts")
        for total, shift in zip(QUAD_SUMS, ("r3", "r4", "r5", "r6"), strict=True):
            a.op("asr", total, total, shift)
            a.op(saturate, total, "#8", total)
    else:
        for total in QUAD_SUMS:
            a.op(saturate, total, "#8", total, f"asr #{form.total_shift}")
    join_quad(a, frame, form.clamps)


def _next(a: Listing, frame: Frame) -> None:
    """The next four channels, the last of which may overlap the ones before."""
    frame.load(a, "r1", "packed")
    frame.load(a, "r3", "quad_bytes")
    frame.load(a, "r4", "channels_done")
    frame.load(a, "r5", "channels")
    a.op("add", "r1", "r1", "r3")
    frame.store(a, "r1", "packed")
    a.op("adds", "r4", "#4")
    a.op("subs", "r2", "r5", "#4")
    frame.store(a, "r4", "channels_done")
    a.op("cmp", "r4", "r2")
    a.op("it", "lt")
    a.op("movlt", "r2", "r4")
    frame.load(a, "r3", "base")
    a.op("add", "r2", "r2", "r3")
    frame.store(a, "r2", "channel")
    a.op("cmp", "r4", "r5")
    a.branch("blt", "quad")
    a.op("add", "sp", "sp", f"#{frame.bytes}")
    a.op("pop", registers(["r4-r11", "pc"]))


def pixels_call(
    layer: PlainLayer,
    sizes: Sizes,
    constants: Requantization,
    equal_shifts: bool,
    has_fpu: bool,
    limit_bytes: int,
    in_place: bool,
    waiting: tuple[Scratch, ...] = (),
) -> KernelCall | None:
    """The call of a layer; None where four channels or a small table are too much.

    `equal_shifts` tells whether all channels share the last shift. Where it is to run `in_place`, a table has one
    pixel: so all channels of a pixel are made in their order, as the plain kernel makes them, at the price of reading
    all weights for each pixel, and without scratch but for pixels that are written late. Else the output has to keep
    off the input.
    """
    taps, channels = sizes["kernel_height"] * sizes["kernel_width"], sizes["output_channels"]
    if channels < 4 or taps > MAX_TAPS or (in_place and channels % 4):
        return None
    form = PixelsForm(
        groups=-(-taps // GROUP),
        total_shift=int(constants.shifts[0]) if equal_shifts else None,
        scale_bits=constants.uniform_bits,
        rounds_ties=layer.rounds_ties,
        clamps=layer.limits_inside,
        has_fpu=has_fpu,
        in_place=in_place,
        is_late=bool(waiting),
    )
    border_bytes, pixel_bytes = -(-channels // 4) * 4, 4 * (GROUP * form.groups + 1)
    most = 1 if in_place else min((limit_bytes - border_bytes) // pixel_bytes, MAX_PIXELS)
    if most < 1:
        return None
    pixels = -(-sizes["output_width"] // -(-sizes["output_width"] // most))  # all portions of a row about equal
    packed = _packed(layer, form, constants)
    border = words_of_byte(layer.input_zero_point, border_bytes // 4)
    params = (
        *window_of(sizes),
        ("channels", channels),
        *((name, sizes[name]) for name in ("input_zero_point", "output_min", "output_max")),
        ("groups", form.groups),
        ("pixels_at_once", pixels),
        ("quad_words", packed.shape[1]),
        ("total_shift", -1 if form.total_shift is None else form.total_shift),
        ("scale_bits", form.scale_bits),
        ("rounds_ties", int(form.rounds_ties)),
        ("border_at", packed.size if in_place else 0),
    )
    if in_place:
        arguments = row_arguments(Table("packed", np.concatenate([packed.reshape(-1), border])), *waiting)
    else:
        arguments = row_arguments(Table("packed", packed), Scratch(pixels * pixel_bytes + border_bytes))
    return KernelCall(form.kernel, params, arguments, _source(form), overlaps=in_place)


@lru_cache(maxsize=256)
def _source(form: PixelsForm) -> GeneratedKernel:
    """The files of a form's kernel: the assembly, and the kernel that uses it or its twin."""
    name = f"thimble_{form.kernel}"
    files = kernel_files(name, "depthwise_pixels_dsp", form=form, assembly=pixels_listing(form).text)
    return GeneratedKernel(files, needs=("pixels_dsp",))


def _packed(layer: PlainLayer, form: PixelsForm, constants: Requantization) -> Array:
    """(ceil(channels / 4), quad_words) int32: biases, weights, multipliers with addends, and perhaps shifts.

    Of each tap a word has the scaled weights of channels 0 and 2, the next one those of 1 and 3. The last four
    channels may be some of the ones before again.
    """
    scale = np.int64(1) << constants.scale_bits
    channels, taps = layer.weights.shape
    weights = np.zeros((channels, GROUP * form.groups), np.int64)
    weights[:, :taps] = layer.weights * scale[:, None]
    quads = np.minimum(np.arange(0, channels, 4), channels - 4)[:, None] + np.arange(4)
    lanes = weights[quads] & 0xFFFF
    words = np.stack([lanes[:, 0] | lanes[:, 2] << 16, lanes[:, 1] | lanes[:, 3] << 16], axis=2)
    tail = np.stack([constants.multipliers, constants.addends], axis=1)[quads]
    parts = [(layer.start * scale)[quads], words, tail]
    parts += [] if form.total_shift is not None else [constants.shifts[quads]]
    return int32_words(np.concatenate([part.reshape(len(quads), -1) for part in parts], axis=1))
