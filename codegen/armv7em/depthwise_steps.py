"""Depthwise convolution over steps in time, images one pixel wide: four channels of an output at a time, no scratch.

Two steps of four channels, a word each, become the pairs of each channel by PKHBT, PKHTB and SXTB16; the weights of two
taps lie as bytes in the same order, so that they are widened in the same way. Outputs are made one by one, all channels
in order, as the plain kernel makes them: so the layer may lie over its input. Windows lie inside of the input.

    2 ldr; pkhbt, pkhtb             3 + 2        half an ldm: weights            2.5
    8 sxtb16, 4 smlad                  12                                        sum 19.5 for 8 products
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
from thimble.codegen.kernel_tools.requantize import MAX_SCALE_BITS, Requantization, plain_requantization
from thimble.codegen.kernel_tools.sizes import Sizes, window_of
from thimble.codegen.kernel_tools.words import int32_words
from thimble.compiler.ir.operator import Array, GeneratedKernel, KernelCall, Table

LANES = 4
"""Channels that are made at a time."""

MAX_STEPS = 16
"""THIMBLE_MAX_STEPS in the runtime: most taps."""

WEIGHTS = ("r4", "r5", "r6", "r7")

_JOB = ("packed", "places", "output", "output_end", "ceiling", "offset")
_FAST = ("output", "output_end", "channel", "ceiling", "offset", "places")
_NAMES = (*_JOB, "channel")


@dataclass(frozen=True, slots=True)
class StepsForm:
    """What one function is generated for: `taps` are even, the last one without weight where there is one fewer."""

    taps: int
    rounds_ties: bool
    clamps: bool
    has_fpu: bool

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        return f"{self.taps}_{'t' * self.rounds_ties}{'c' * self.clamps}v"


def steps_listing(form: StepsForm) -> Listing:
    """The function of a form, to be called with a thimble_steps_job."""
    a, frame = Listing(f"thimble_depthwise_steps_dsp_{form.name}_output"), Frame(_NAMES, _FAST, form.has_fpu)
    frame.begin(a, _JOB)
    a.op("movs", "r0", "#0")
    a.label("quad", "four channels; r0 says which, r1 is at their weights")
    frame.store(a, "r0", "channel")
    a.op("ldm", "r1!", registers(QUAD_SUMS), note="biases")
    frame.load(a, "r0", "places")
    for tap in range(0, form.taps, 2):
        _pair(a, frame, tap)
    _requantize(a, frame, form)
    frame.load(a, "r2", "output")
    frame.load(a, "r3", "output_end")
    frame.load(a, "r0", "channel")
    a.op("str", QUAD_SUMS[0], "[r2], #4")
    frame.store(a, "r2", "output")
    a.op("adds", "r0", "#4")
    a.op("cmp", "r2", "r3")
    a.branch("bne", "quad")
    frame.leave(a)
    return a


def _pair(a: Listing, frame: Frame, tap: int) -> None:
    """Two taps of four channels; r0 is at the places of input steps, and weights of four taps are loaded at once."""
    half = tap % 4 // 2
    if half == 0:
        a.op("ldm", "r1!", registers(WEIGHTS))
    frame.load(a, "r12", "channel")
    a.op("ldrd", "r2", "r3", f"[r0, #{4 * tap}]")
    a.op("ldr.w", "r2", "[r2, r12]")
    a.op("ldr.w", "r3", "[r3, r12]")
    a.op("pkhbt", "r12", "r2", "r3", "lsl #16", note="channels 0 and 1 of both steps")
    a.op("pkhtb", "r3", "r3", "r2", "asr #16", note="channels 2 and 3")
    for number, (steps, weights) in enumerate((("r12", WEIGHTS[2 * half]), ("r3", WEIGHTS[2 * half + 1]))):
        for odd, turn in enumerate(((), ("ror #8",))):
            total = QUAD_SUMS[2 * number + odd]
            a.op("sxtb16", "lr", steps, *turn)
            a.op("sxtb16", "r2", weights, *turn)
            a.op("smlad", total, "lr", "r2", total)


def _requantize(a: Listing, frame: Frame, form: StepsForm) -> None:
    """All four sums to bytes of one word, in r8."""
    for total in QUAD_SUMS:
        a.op("ldm", "r1!", registers(("r4", "r5", "r6")), note="multiplier, addend, shift")
        a.op("lsl", total, total, f"#{MAX_SCALE_BITS}")
        scale_sum(a, total, "r4", "r5", MAX_SCALE_BITS, rounds_ties=form.rounds_ties, spare="r7")
        a.op("asr", total, total, "r6")
        a.op("usat" if form.clamps else "ssat", total, "#8", total)
    join_quad(a, frame, form.clamps)


def steps_call(layer: PlainLayer, sizes: Sizes, has_fpu: bool) -> KernelCall | None:
    """The call of a layer over steps in time; None where windows reach over a border or channels are not in fours."""
    constants = plain_requantization(layer).with_bits(MAX_SCALE_BITS)
    if constants is None or not _is_taken(sizes) or (layer.shifts >= 0).any():
        return None
    taps = sizes["kernel_height"]
    form = StepsForm(taps + taps % 2, layer.rounds_ties, layer.limits_inside, has_fpu)
    packed = _packed(layer, constants)
    params = (
        *window_of(sizes),
        ("channels", sizes["output_channels"]),
        *((name, sizes[name]) for name in ("output_min", "output_max")),
        ("quad_words", packed.shape[1]),
        ("rounds_ties", int(form.rounds_ties)),
    )
    name = f"depthwise_steps_dsp_{form.name}"
    return KernelCall(name, params, row_arguments(Table("packed", packed)), _source(form))


def _is_taken(sizes: Sizes) -> bool:
    """One pixel wide, windows inside of the input, whole quads of channels."""
    ones = sizes["input_width"] == sizes["output_width"] == sizes["kernel_width"] == 1
    reach = (sizes["output_height"] - 1) * sizes["stride_height"] + sizes["kernel_height"]
    inside = sizes["pad_top"] == sizes["pad_left"] == 0 and reach <= sizes["input_height"]
    return ones and inside and 1 < sizes["kernel_height"] <= MAX_STEPS and sizes["output_channels"] % LANES == 0


@lru_cache(maxsize=64)
def _source(form: StepsForm) -> GeneratedKernel:
    """The files of kernel depthwise_steps_dsp_<form>: the assembly, and the kernel that uses it or its twin."""
    name = f"thimble_depthwise_steps_dsp_{form.name}"
    files = kernel_files(name, "depthwise_steps_dsp", form=form, assembly=steps_listing(form).text)
    return GeneratedKernel(files, needs=("steps_dsp",))


def _packed(layer: PlainLayer, constants: Requantization) -> Array:
    """(channels / 4, words) int32: biases, weights, multiplier, addend and shift of each channel.

    Weights are bytes: of each two taps those of channels 0 and 1 (tap, channel), and of 2 and 3, for a multiple of four
    taps.
    """
    channels, taps = layer.weights.shape
    padded = np.zeros((channels // LANES, LANES, -(-taps // 4) * 4), np.int8)
    padded[:, :, :taps] = layer.weights.reshape(-1, LANES, taps)
    pairs = padded.reshape(-1, 2, 2, padded.shape[2] // 2, 2)  # (quad, channels / 2, channel, taps / 2, tap)
    words = np.ascontiguousarray(pairs.transpose(0, 3, 1, 4, 2)).view(np.uint8).reshape(len(padded), -1).view("<u4")
    tail = np.stack([constants.multipliers, constants.addends, constants.shifts], axis=1).reshape(len(padded), -1)
    start = layer.start.reshape(len(padded), -1)
    return int32_words(np.concatenate([start, words.astype(np.int64), tail], axis=1))
